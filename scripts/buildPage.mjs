/** Builds a page of a test or bench as the coordinator's pages are built: with web/vite.config.ts, but no plugins, from a folder with an index.html. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, loadConfigFromFile } from "vite";

const configFile = join(dirname(fileURLToPath(import.meta.url)), "../web/vite.config.ts");

export async function buildPage(root, outDir) {
  const { config } = await loadConfigFromFile({ command: "build", mode: "production" }, configFile);
  const { define: _, ...shared } = config;
  const rollupOptions = { input: join(root, "index.html") };
  await build({
    ...shared,
    configFile: false,
    root,
    publicDir: false,
    logLevel: "error",
    plugins: [],
    build: { ...shared.build, outDir, rollupOptions },
  });
}
