/** Builds the service worker of the join page: which files it keeps, and a version that changes with any of them. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Plugin, type Rollup, transformWithEsbuild } from "vite";

type Bundle = Rollup.OutputBundle;

/** Scripts and styles that a page loads at once, with its workers; what is loaded when it is needed is kept then. */
function filesOf(page: string, bundle: Bundle): readonly string[] {
  const found = new Set<string>();
  const add = (name: string): void => {
    const chunk = bundle[name];
    if (found.has(name) || chunk?.type !== "chunk") return;
    found.add(name);
    for (const style of chunk.viteMetadata?.importedCss ?? []) found.add(style);
    for (const imported of chunk.imports) add(imported);
    for (const { fileName, type } of Object.values(bundle)) {
      if (type === "asset" && fileName.endsWith(".js") && chunk.code.includes(fileName)) found.add(fileName);
    }
  };
  for (const chunk of Object.values(bundle)) {
    if (chunk.type === "chunk" && chunk.isEntry && chunk.facadeModuleId?.endsWith(page)) add(chunk.fileName);
  }
  return [...found].sort();
}

/** Emits `sw.js` from `source`, for the page `page` and the files of `publicDir`. */
export function serviceWorker({ source, page, publicDir }: { source: string; page: string; publicDir: string }): Plugin {
  return {
    name: "service-worker",
    enforce: "post",
    generateBundle: {
      order: "post",
      async handler(_, bundle) {
        const scripts = filesOf(page, bundle);
        const html = bundle[page.replace(/^\//, "")];
        if (scripts.length === 0 || html?.type !== "asset") throw new Error(`The build has no page ${page}.`);
        const open = readdirSync(publicDir).sort();
        const hash = createHash("sha256").update(html.source);
        for (const name of open) hash.update(name).update(readFileSync(join(publicDir, name)));
        const files = [page.replace(/\/index\.html$/, ""), ...[...scripts, ...open].map((name) => `/${name}`)];
        const shell = { version: hash.update(files.join("\n")).digest("hex").slice(0, 16), files };
        const { code } = await transformWithEsbuild(readFileSync(source, "utf8"), source, {
          define: { __SHELL__: JSON.stringify(shell) },
          format: "esm",
          minify: true,
          target: "es2022",
          sourcemap: false,
        });
        // A classic script, which every browser with service workers takes.
        this.emitFile({ type: "asset", fileName: "sw.js", source: code.replace(/export\s*\{\s*\};?\s*$/, "") });
      },
    },
  };
}
