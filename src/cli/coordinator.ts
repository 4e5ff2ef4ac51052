/** How commands speak to a coordinator: at an address with a token, or through its folder on this machine. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Option } from "commander";
import { addressFile, type JoinAddress, parseJoinAddress } from "../fleet/address.ts";
import type { LocalTrust } from "../fleet/coordinator.ts";
import type { ClientCertificate } from "../fleet/trust.ts";
import type { Client } from "../protocol/client.ts";
import type { Fetch } from "../protocol/exchange.ts";
import type { DeviceSummary, RunSummary } from "../protocol/operatorMessages.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import type { Invocation } from "./command.ts";

/** Folder of the coordinator's state where none is given. */
export const defaultStore = "sheaf-fleet";

/** Options of every command that speaks to a coordinator. */
export const coordinatorOptions: readonly Option[] = [
  new Option("--token <token>", "viewer's or administrator's token; the one of --store where it is on this machine"),
  new Option("--store <dir>", "folder of a coordinator on this machine").default(defaultStore),
];

const textOf = async (path: string, what: string): Promise<string> => new TextDecoder().decode(await readFileChecked(path, what));

/** What a coordinator on this machine wrote down: its address, and whom to trust there. */
type Noted = { readonly url: string } & Partial<LocalTrust>;

/** Throws `data` where no coordinator has written anything down. */
async function notedIn(store: string): Promise<Noted> {
  const path = join(store, addressFile);
  if (!existsSync(path))
    throw new SheafError("data", `${store} has no ${addressFile}: no coordinator has run there; give --store, or its address and --token.`);
  return JSON.parse(await textOf(path, "address")) as Noted;
}

/** A certificate from two files; undefined where neither is named. Throws `usage` for one without the other. */
export async function clientCertificate(certificate: unknown, key: unknown): Promise<ClientCertificate | undefined> {
  if (certificate === undefined && key === undefined) return undefined;
  if (typeof certificate !== "string" || typeof key !== "string")
    throw new SheafError("usage", "--certificate and --key belong together; give both.");
  return { certificate: await textOf(certificate, "client certificate"), key: await textOf(key, "its key") };
}

/** How to reach a coordinator that is trusted by a fingerprint, by an authority at hand, or as the system does. */
async function fetchFor({ url, pin }: JoinAddress, noted: Noted | undefined): Promise<Fetch | undefined> {
  if (!url.startsWith("https:")) return undefined;
  const isHere = noted !== undefined && noted.authority !== undefined && existsSync(noted.authority);
  const shown = isHere && noted.certificate !== undefined ? await clientCertificate(noted.certificate, noted.key) : undefined;
  const { authorityOf, fetchTrusting } = await import("../fleet/trust.ts");
  if (pin !== undefined) return fetchTrusting(await authorityOf(url, pin), shown);
  return isHere ? fetchTrusting(await textOf(noted.authority ?? "", "authority"), shown) : undefined;
}

/** Turns what says that nobody answers into a sentence with a remedy; everything else is passed on. */
export async function notAnswering(error: unknown, url: string, remedy: string): Promise<unknown> {
  const { ConnectionFailure } = await import("../protocol/retry.ts");
  if (!(error instanceof ConnectionFailure)) return error;
  const reason = error.message.match(/failed on the way: (?:fetch failed: )?(.*?)\. Check the address/)?.[1] ?? error.message;
  // Where a client certificate is wanted, TLS 1.3 tells nothing before the first answer fails to come.
  const isShut = url.startsWith("https:") && /closed|hang up|reset|certificate required|bad certificate/i.test(reason);
  const certificates = "where it asks for client certificates, give one by `sheaf cert device` that was not revoked";
  if (/self.signed|unable to (?:get|verify)|certificate/i.test(reason) && !isShut)
    return new SheafError(
      "unavailable",
      `${url} shows a certificate that this machine does not trust (${reason}); type the whole line that \`sheaf serve\` or \`sheaf devices invite\` prints, with what stands behind its last colon.`,
      { cause: error },
    );
  return new SheafError("unavailable", `No coordinator answers at ${url} (${reason}); ${isShut ? certificates : remedy}.`, {
    cause: error,
  });
}

/** The token of whoever can read the folder. Throws `usage` where the coordinator is elsewhere. */
async function tokenIn(store: string, given: string | undefined): Promise<string> {
  if (given === undefined || existsSync(join(store, addressFile))) {
    const { localAdminToken } = await import("../coordinator/dataFolder.node.ts");
    return await localAdminToken(store);
  }
  throw new SheafError(
    "usage",
    `${given} wants a token: whoever runs it makes one by \`sheaf devices invite --role viewer\`; give it with --token, or the --store where it runs here.`,
  );
}

/** A client for the coordinator of a command line, and its address. Throws `data` and `usage` where there is none, `unavailable` where nobody answers. */
export async function connect(
  { options, signal }: Invocation,
  given: string | undefined,
): Promise<{ readonly client: Client; readonly url: string }> {
  const store = options.store as string;
  const noted = given === undefined || existsSync(join(store, addressFile)) ? await notedIn(store) : undefined;
  const address = parseJoinAddress(given ?? noted?.url ?? "");
  const { url } = address;
  const token = (options.token as string | undefined) ?? address.token ?? (await tokenIn(store, given));
  const fetch = await fetchFor(address, noted);
  const { openClient } = await import("../protocol/client.ts");
  const client = openClient({ url, credentials: { type: "token", token }, timing: { attempts: 3 }, ...(fetch ? { fetch } : {}) });
  const remedy =
    given === undefined ? `start it with \`sheaf serve --store ${store}\`` : "look whether `sheaf serve` runs there, and at the address";
  await client.call("health", {}, { signal }).catch(async (error: unknown) => {
    throw await notAnswering(error, url, remedy);
  });
  return { client, url };
}

/** All devices that a coordinator knows. */
export async function allDevices(client: Client, signal: AbortSignal): Promise<readonly DeviceSummary[]> {
  const found: DeviceSummary[] = [];
  for (let after: string | undefined; ; ) {
    const { devices, next } = await client.call("listDevices", { query: after === undefined ? {} : { after } }, { signal });
    found.push(...devices);
    if (next === undefined) return found;
    after = next;
  }
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
