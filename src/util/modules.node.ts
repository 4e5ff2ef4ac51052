/** Loads a module of the user's own, JavaScript or TypeScript, from a path. */
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type ErrorCode, SheafError } from "./errors.ts";
import { readFileChecked } from "./files.node.ts";

/** What a module may import of Sheaf wherever it lies. */
const doors = ["sheaf/util", "sheaf/network", "sheaf/models", "sheaf/data"] as const;

/** The package's own doors, so that a module in any folder gets this very Sheaf; one that is not built yet is left out. */
async function ownDoors(): Promise<Record<string, unknown>> {
  const require = createRequire(import.meta.url);
  const found: Record<string, unknown> = {};
  for (const door of doors) {
    try {
      found[door] = await import(pathToFileURL(require.resolve(door)).href);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND" && (error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND")
        throw error;
    }
  }
  return found;
}

/**
 * The default export of a module (.ts, .mjs, .js; Node 20 too). Types are stripped, not checked. The module runs with all rights of this
 * process, as any import does. `what` says what it should be, for instance "data set".
 * Throws `data` when there is no such file, `code` when it cannot be run or has no default export; both name the file.
 * @example const definition = await importDefault("stripes.ts", "data set", "data");
 */
export async function importDefault(path: string, what: string, code: ErrorCode): Promise<unknown> {
  const absolute = resolve(path);
  await readFileChecked(absolute, `${what} module`);
  const { createJiti } = await import("jiti");
  let loaded: unknown;
  try {
    const jiti = createJiti(pathToFileURL(absolute).href, {
      fsCache: false,
      moduleCache: false,
      interopDefault: false,
      virtualModules: await ownDoors(),
    });
    loaded = await jiti.import(absolute);
  } catch (cause) {
    if (cause instanceof SheafError) throw cause;
    // A syntax error says in its second line where.
    const [first = "", second = ""] = (cause instanceof Error ? cause.message : String(cause)).split("\n").map((line) => line.trim());
    const reason = `${first.replace(/\.$/, "")}${/:\d+:\d+$/.test(second) ? ` at ${second}` : ""}`;
    throw new SheafError(code, `The ${what} module ${absolute} cannot be run: ${reason}; correct it and run again.`, { cause });
  }
  const value = (loaded as { readonly default?: unknown }).default;
  if (value === undefined) {
    const names = Object.keys(loaded as object).filter((name) => name !== "__esModule");
    const got = names.length > 0 ? `exports only ${names.join(", ")}` : "exports nothing";
    throw new SheafError(
      code,
      `The ${what} module ${absolute} has no default export (it ${got}); write "export default" before the definition.`,
    );
  }
  return value;
}
