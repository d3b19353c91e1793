// Read files with speedscope's own importer: `node speedscope.mjs BUNDLE`. stdin has one file name
// a line, stdout gets one line of JSON for each. The bundle is the published one without its last
// statement, which draws the page and needs a browser.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import vm from "node:vm";

const stub = new Proxy(function () {}, {
  get: (_, key) =>
    key === Symbol.toPrimitive
      ? () => ""
      : key === "then" || key === Symbol.iterator
        ? undefined
        : stub,
  apply: () => stub,
  construct: () => stub,
  set: () => true,
  has: () => true,
});
const page = vm.createContext({
  console: { ...console, log() {} },
  document: stub,
  navigator: stub,
  localStorage: stub,
  matchMedia: stub,
  location: { hash: "", protocol: "file:" },
  addEventListener() {},
  HTMLElement: class {},
  HTMLCanvasElement: class {},
  TextDecoder,
  TextEncoder,
  URL,
  atob,
  performance,
  setTimeout,
});
page.window = page.self = page;
const bundle = readFileSync(process.argv[2], "utf8");
const importer =
  /async function (\w+)\(\w+,\w+\)\{return\(await \w+\)\.importProfilesFromArrayBuffer/.exec(
    bundle,
  )[1];
const drawStatement = bundle.lastIndexOf("console.log(`speedscope v");
vm.runInContext(`${bundle.slice(0, drawStatement)}globalThis.read = ${importer}})();`, page, {
  filename: "speedscope.js",
});

function describeProfile(profile) {
  const calls = [],
    running = [];
  profile.forEachCall(
    (node, at) => running.push([node.frame.name, at, running.length]),
    (_, at) => {
      const [name, start, depth] = running.pop();
      calls.push([name, start, at, depth]);
    },
  );
  const frames = [];
  profile.forEachFrame((frame) =>
    frames.push([frame.name, frame.getTotalWeight(), frame.getSelfWeight()]),
  );
  return {
    name: profile.getName(),
    unit: profile.getWeightUnit(),
    total: profile.getTotalWeight(),
    calls,
    frames,
  };
}

for await (const file of createInterface({ input: process.stdin })) {
  const bytes = readFileSync(file);
  page.bytes = bytes;
  const group = await page.read(file, vm.runInContext("Uint8Array.from(bytes).buffer", page));
  const content = group && {
    name: group.name,
    view: group.indexToView,
    profiles: group.profiles.map(describeProfile),
  };
  process.stdout.write(JSON.stringify(content) + "\n");
}
