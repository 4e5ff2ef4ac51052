/** How commands speak to a coordinator: at an address with a token, or through its folder on this machine. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Option } from "commander";
import { localAdminToken } from "../coordinator/dataFolder.node.ts";
import { addressFile } from "../fleet/coordinator.ts";
import { authorityOf, fetchTrusting, parseJoinAddress } from "../fleet/trust.ts";
import { type Client, openClient } from "../protocol/client.ts";
import type { RunSummary } from "../protocol/operatorMessages.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import type { Invocation } from "./command.ts";
import { defaultStore } from "./commands/serve.ts";

/** Options of every command that speaks to a coordinator. */
export const coordinatorOptions: readonly Option[] = [
  new Option("--token <token>", "viewer's or administrator's token; the one of --store where it is on this machine"),
  new Option("--store <dir>", "folder of a coordinator on this machine").default(defaultStore),
];

const textOf = async (path: string, what: string): Promise<string> => new TextDecoder().decode(await readFileChecked(path, what));

/** The address that a coordinator on this machine wrote down. Throws `data` where there is none. */
async function addressIn(store: string): Promise<string> {
  const path = join(store, addressFile);
  if (!existsSync(path))
    throw new SheafError("data", `${store} has no ${addressFile}: no coordinator has run there; give --store, or its address and --token.`);
  return (JSON.parse(await textOf(path, "address")) as { readonly url: string }).url;
}

/** A client for the coordinator of a command line, and its address. Throws `data` and `usage` where there is none. */
export async function connect(
  { options }: Invocation,
  given: string | undefined,
): Promise<{ readonly client: Client; readonly url: string }> {
  const store = options.store as string;
  const address = parseJoinAddress(given ?? (await addressIn(store)));
  const token = (options.token as string | undefined) ?? address.token ?? (await localAdminToken(store));
  const own = join(store, "authority", "ca.pem");
  const authority =
    address.pin !== undefined ? await authorityOf(address.url, address.pin) : existsSync(own) ? await textOf(own, "authority") : undefined;
  const { url } = address;
  const client = openClient({
    url,
    credentials: { type: "token", token },
    timing: { attempts: 3 },
    ...(authority !== undefined && url.startsWith("https:") ? { fetch: fetchTrusting(authority) } : {}),
  });
  return { client, url };
}

/** The run that a command is about: by id or name, or the only one. Throws `usage` where that is not one. */
export async function chooseRun(client: Client, wanted: string | undefined, signal: AbortSignal): Promise<RunSummary> {
  const { runs } = await client.call("listRuns", {}, { signal });
  const found = wanted === undefined ? runs : runs.filter(({ runId, name }) => runId === wanted || name === wanted);
  const [run] = found;
  if (run && found.length === 1) return run;
  const names = runs.map(({ runId, name }) => `${name} (${runId})`).join(", ") || "none";
  const problem = wanted === undefined ? `The coordinator has ${runs.length} runs` : `${found.length} runs are called "${wanted}"`;
  throw new SheafError("usage", `${problem}; name one by its id. There are: ${names}.`);
}
