/** Certificates of `sheaf serve`: as given, or by an authority of the coordinator's own; and whom commands on this machine trust. */
import { existsSync, statSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { join, resolve } from "node:path";
import type { Authority } from "../coordinator/certificates.node.ts";
import { isLoopback, type TlsOptions } from "../coordinator/listen.node.ts";
import { isWildcard } from "../fleet/address.ts";
import type { LocalTrust } from "../fleet/coordinator.ts";
import { plainFingerprint } from "../fleet/trust.ts";
import { SheafError } from "../util/errors.ts";
import { readFileChecked } from "../util/files.node.ts";
import type { Invocation } from "./command.ts";

export interface ServeTls {
  readonly tls: TlsOptions;
  /** Undefined where devices are to know the authority by other means. */
  readonly pin?: string;
  readonly trust?: LocalTrust;
  /** New certificates once there are some, such as after `sheaf cert revoke`. */
  readonly renew?: () => Promise<TlsOptions | undefined>;
}

/** A list of revoked certificates is good for 30 days. */
const newListMs = 86_400_000;

/** Addresses by which others may reach this machine. */
export const outerAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).flatMap(({ internal, family, address }) => (internal || family !== "IPv4" ? [] : [address])),
  );

const textOf = async (path: string, what: string): Promise<string> => new TextDecoder().decode(await readFileChecked(path, what));

/** The TLS options again whenever the authority's list of revoked certificates has changed, or grown old. */
function renewing(authority: Authority, folder: string, tls: TlsOptions): () => Promise<TlsOptions | undefined> {
  const list = join(folder, "revoked.crl");
  const changedAt = (): number => (existsSync(list) ? statSync(list).mtimeMs : 0);
  let seen = changedAt();
  return async () => {
    if (Date.now() - changedAt() > newListMs) await authority.revocationList();
    if (changedAt() === seen) return undefined;
    seen = changedAt();
    return { ...tls, revocationList: await textOf(list, "list of revoked certificates") };
  };
}

/** What to listen with; undefined for plain HTTP, which this machine alone can reach. */
export async function serveTls({ options, terminal }: Invocation, store: string, host: string): Promise<ServeTls | undefined> {
  const { tlsKey, tlsCert, authority } = options as { readonly tlsKey?: string; readonly tlsCert?: string; readonly authority?: string };
  const onlyCertified = options.clientCertificates === true;
  if ((tlsKey === undefined) !== (tlsCert === undefined))
    throw new SheafError("usage", "--tls-cert and --tls-key belong together; give both.");
  if (tlsKey !== undefined && tlsCert !== undefined) {
    if (onlyCertified)
      throw new SheafError("usage", "--client-certificates needs an authority of Sheaf's; leave --tls-cert and --tls-key out.");
    return { tls: { key: await textOf(tlsKey, "TLS key"), certificate: await textOf(tlsCert, "TLS certificate") } };
  }
  if (isLoopback(host) && authority === undefined && options.tls !== true && !onlyCertified) return undefined;
  const folder = authority ?? join(store, "authority");
  const { createAuthority, openAuthority } = await import("../coordinator/certificates.node.ts");
  const isThere = existsSync(join(folder, "ca.pem"));
  const opened = isThere ? await openAuthority(folder) : await createAuthority(folder);
  if (!isThere) terminal.note(`Made a certificate authority in ${folder}; whoever has its key can pose as this coordinator.`);
  const names = (options.hostName as readonly string[] | undefined) ?? [];
  const own = isWildcard(host) ? outerAddresses() : [host];
  const server = await opened.issueServer([...new Set([...names, ...own, hostname(), "localhost", "127.0.0.1"])]);
  const tls = { key: server.key, certificate: `${server.certificate}\n${opened.certificate}` };
  const pin = plainFingerprint(opened.fingerprint);
  const trust = { authority: resolve(opened.certificatePath) };
  if (!onlyCertified) return { tls, pin, trust };
  const local = await opened.issueDevice("local");
  const certified = { ...tls, clientAuthority: opened.certificate, revocationList: await opened.revocationList() };
  return {
    tls: certified,
    pin,
    trust: { ...trust, certificate: resolve(local.certificatePath), key: resolve(local.keyPath) },
    renew: renewing(opened, folder, certified),
  };
}
