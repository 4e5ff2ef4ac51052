/**
 * Completes what tsc leaves in dist/: copies sources that are not TypeScript, removes what has no source any more,
 * and makes the command executable. Runs after tsc and not before, so that a running `sheaf` never misses a file.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const src = join(root, "src");
const dist = join(root, "dist");
const command = join(dist, "cli", "main.js");

const entriesUnder = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true });
const pathOf = (entry, folder) => relative(folder, join(entry.parentPath, entry.name));

/** Files that the build makes from one file of src/. */
function outputsOf(source) {
  if (/\.(test|fixture)\.ts$/.test(source)) return [];
  if (source.endsWith(".d.ts") || !source.endsWith(".ts")) return [source];
  const stem = source.slice(0, -".ts".length);
  return [`${stem}.js`, `${stem}.d.ts`];
}

mkdirSync(dist, { recursive: true });
const sources = entriesUnder(src)
  .filter((entry) => entry.isFile())
  .map((entry) => pathOf(entry, src));
for (const source of sources.filter((name) => !name.endsWith(".ts") || name.endsWith(".d.ts"))) {
  mkdirSync(dirname(join(dist, source)), { recursive: true });
  copyFileSync(join(src, source), join(dist, source));
}
const wanted = new Set(sources.flatMap(outputsOf));
/** What Vite builds and tidies by itself. */
const isPage = (name) => name === "web" || name.startsWith(`web${sep}`);
for (const entry of entriesUnder(dist)) {
  if (!entry.isDirectory() && !isPage(pathOf(entry, dist)) && !wanted.has(pathOf(entry, dist))) rmSync(join(entry.parentPath, entry.name));
}
const folders = entriesUnder(dist).filter((entry) => entry.isDirectory());
for (const folder of folders.map((entry) => join(entry.parentPath, entry.name)).sort((a, b) => b.length - a.length)) {
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}
if (existsSync(command)) chmodSync(command, 0o755);
