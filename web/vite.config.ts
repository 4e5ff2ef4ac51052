/** Builds the coordinator's pages into dist/web: a page for each folder of web/ with an index.html, and ONNX Runtime's own files beside them. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defaultClientConditions, type Plugin, type UserConfig } from "vite";
import { serviceWorker } from "./shell.ts";

const root = dirname(fileURLToPath(import.meta.url));
const outDir = join(dirname(root), "dist", "web");

/** `index.html` of web/ itself and of its folders. */
function pages(): Readonly<Record<string, string>> {
  const folders = readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  const found = [".", ...folders].map((name) => [name === "." ? "main" : name, join(root, name, "index.html")] as const);
  return Object.fromEntries(found.filter(([, path]) => existsSync(path)));
}

/** Its WebAssembly with the loaders that belong to it, for the processor and for WebGPU. They are fetched by name while the page runs. */
const runtimeFiles = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"].flatMap((name) => [`${name}.mjs`, `${name}.wasm`]);

function copyRuntime(): Plugin {
  return {
    name: "copy-onnxruntime",
    closeBundle() {
      const from = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
      // Under its version, so that what is kept of one release never meets the scripts of another.
      const to = join(outDir, "ort", ortVersion);
      mkdirSync(to, { recursive: true });
      for (const name of runtimeFiles) cpSync(join(from, name), join(to, name));
    },
  };
}

const versionOf = (path: string): string => (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
const ortVersion = versionOf(join(root, "..", "node_modules", "onnxruntime-web", "package.json"));

const config: UserConfig = {
  root,
  define: {
    __SHEAF_VERSION__: JSON.stringify(versionOf(join(root, "..", "package.json"))),
    __ORT_VERSION__: JSON.stringify(ortVersion),
  },
  base: "/",
  publicDir: join(root, "public"),
  plugins: [
    svelte({ configFile: false }),
    copyRuntime(),
    serviceWorker({ source: join(root, "device", "serviceWorker.ts"), page: "/join/index.html", publicDir: join(root, "public") }),
  ],
  resolve: {
    // Without WebGL, and without a copy of the loaders inside.
    alias: [{ find: /^onnxruntime-web$/, replacement: "onnxruntime-web/wasm" }],
    conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions],
  },
  worker: { format: "es" },
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    // The content-security-policy allows no data: addresses for scripts and styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The resampler for microphones carries its WebAssembly in its script and is loaded when recording begins; the join page's own size has a test.
    chunkSizeWarningLimit: 4000,
    rollupOptions: {
      input: pages(),
      // Comments in a dependency for other bundlers, which no one here can mend.
      onwarn: (warning, warn) => warning.code === "INVALID_ANNOTATION" || warn(warning),
    },
  },
};

export default config;
