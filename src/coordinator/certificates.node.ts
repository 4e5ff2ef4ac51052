/**
 * A certificate authority in a folder, for fleets without a name in the public DNS: one root, certificates for coordinators and devices, and a list of
 * revoked ones. Keys are ECDSA P-256, which every TLS implementation takes. Behind `sheaf cert`.
 */
import "reflect-metadata";

import { randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import * as x509 from "@peculiar/x509";
import { SheafError } from "../util/errors.ts";
import { readFileChecked, storageError, writeFileAtomic } from "../util/files.node.ts";

x509.cryptoProvider.set(webcrypto as never);

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;
/** Apple's systems refuse server certificates that are good for longer. */
const serverDays = 397;
const deviceDays = 397;
const authorityDays = 3650;
/** Certificates begin a little earlier, for clocks that are behind. */
const earlierMs = 3_600_000;

/** A certificate and its key as PEM text, and where they were written. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
  readonly certificatePath: string;
  readonly keyPath: string;
  /** Serial number in hexadecimal digits; what a revocation names. */
  readonly serial: string;
  /** SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it. */
  readonly fingerprint: string;
}

/** An opened authority. */
export interface Authority {
  readonly certificate: string;
  readonly certificatePath: string;
  readonly fingerprint: string;
  /** For a coordinator reached under these host names and IP addresses: `server.pem` and `server.key`, replaced when there are some. */
  issueServer(hosts: readonly string[]): Promise<Issued>;
  /** For a device: `devices/NAME.pem` and `.key`; proves it when connections need a client certificate. */
  issueDevice(name: string): Promise<Issued>;
  /** Adds a certificate, by its serial number or PEM text, to the list of revoked ones; the list is written to `revoked.crl` (PEM) and given back. */
  revoke(serialOrCertificate: string): Promise<string>;
  /** The signed list of revoked certificates, good for 30 days from now. */
  revocationList(): Promise<string>;
}

const files = { certificate: "ca.pem", key: "ca.key", list: "revoked.crl" };

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const serialNumber = (): string => {
  const bytes = randomBytes(16);
  // Positive, and without a leading zero that encoders treat differently.
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString("hex");
};

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

async function importKey(pem: string, path: string): Promise<webcrypto.CryptoKey> {
  try {
    return await webcrypto.subtle.importKey("pkcs8", x509.PemConverter.decodeFirst(pem), algorithm, true, ["sign"]);
  } catch (cause) {
    throw new SheafError("corrupt", `${resolve(path)} must be an ECDSA P-256 key in PEM; restore it, or make a new authority.`, { cause });
  }
}

const readText = async (path: string, what: string): Promise<string> => new TextDecoder().decode(await readFileChecked(path, what));

const validity = (days: number, nowMs: number) => ({ notBefore: new Date(nowMs - earlierMs), notAfter: new Date(nowMs + days * dayMs) });

/** Whether a text is a host name or IP address that a certificate can be for. */
function checkHost(host: string): { readonly type: "dns" | "ip"; readonly value: string } {
  if (isIP(host)) return { type: "ip", value: host };
  if (/^(?=.{1,253}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(host))
    return { type: "dns", value: host };
  throw new SheafError(
    "usage",
    `A certificate is for host names and IP addresses such as fleet.example or 192.0.2.7, got ${JSON.stringify(host)}.`,
  );
}

/** Makes an authority in a folder where there is none. `nowMs` is the present time. Throws `usage` when there is one, and `storage`. */
export async function createAuthority(folder: string, name = "Sheaf fleet", nowMs: number = Date.now()): Promise<Authority> {
  if (await exists(join(folder, files.key))) {
    throw new SheafError("usage", `${resolve(folder)} holds an authority already; use it, or choose another folder.`);
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/.test(name)) {
    throw new SheafError(
      "usage",
      `An authority's name must be 1 to 64 letters, digits, spaces, dots, _ or -, got ${JSON.stringify(name)}.`,
    );
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${name}`,
    ...validity(authorityDays, nowMs),
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey as never),
    ],
  });
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageError(error, folder);
  }
  await writeFileAtomic(join(folder, files.key), await exportKey(keys.privateKey), 0o600);
  await writeFileAtomic(join(folder, files.certificate), certificate.toString("pem"));
  return openAuthority(folder);
}

/** Opens the authority of a folder. Throws `data` when there is none, and `corrupt`. */
export async function openAuthority(folder: string, now: () => number = Date.now): Promise<Authority> {
  const certificatePath = join(folder, files.certificate);
  const pem = await readText(certificatePath, "authority's certificate");
  const authorityKey = await importKey(await readText(join(folder, files.key), "authority's key"), join(folder, files.key));
  const root = readCertificate(pem);
  const issue = async (subject: string, days: number, path: string, extensions: readonly x509.Extension[]): Promise<Issued> => {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${subject}`,
      issuer: root.subject,
      ...validity(days, now()),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey as never,
      signingKey: authorityKey as never,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        await x509.AuthorityKeyIdentifierExtension.create(root),
        ...extensions,
      ],
    });
    const issued = { certificate: certificate.toString("pem"), key: await exportKey(keys.privateKey) };
    const paths = { certificatePath: `${path}.pem`, keyPath: `${path}.key` };
    await writeFileAtomic(paths.keyPath, issued.key, 0o600);
    await writeFileAtomic(paths.certificatePath, issued.certificate);
    return { ...issued, ...paths, serial: certificate.serialNumber, fingerprint: new X509Certificate(issued.certificate).fingerprint256 };
  };
  const writeList = async (added?: string): Promise<string> => {
    const path = join(folder, files.list);
    const earlier = (await exists(path)) ? new x509.X509Crl(await readText(path, "revocation list")).entries : [];
    const known = earlier.map(({ serialNumber: serial, revocationDate }) => ({ serialNumber: serial, revocationDate }));
    const isNew = added !== undefined && !known.some(({ serialNumber: serial }) => serial === added);
    const list = await x509.X509CrlGenerator.create({
      issuer: root.subject,
      thisUpdate: new Date(now() - earlierMs),
      nextUpdate: new Date(now() + 30 * dayMs),
      signingAlgorithm: algorithm,
      signingKey: authorityKey as never,
      entries: isNew ? [...known, { serialNumber: added, revocationDate: new Date(now()) }] : known,
      extensions: [await x509.AuthorityKeyIdentifierExtension.create(root)],
    });
    const text = x509.PemConverter.encode(list.rawData, "X509 CRL");
    await writeFileAtomic(path, text);
    return text;
  };
  return {
    certificate: pem,
    certificatePath,
    fingerprint: new X509Certificate(pem).fingerprint256,
    async issueServer(hosts) {
      const names = hosts.map(checkHost);
      if (names.length === 0) throw new SheafError("usage", "A server's certificate needs at least one host name or IP address.");
      return issue(names[0]!.value, serverDays, join(folder, "server"), [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(names.map((name) => ({ ...name }))),
      ]);
    },
    async issueDevice(name) {
      // The name becomes a file's.
      if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name)) {
        throw new SheafError("usage", `A device's name must be 1 to 64 letters, digits, _ or -, got ${JSON.stringify(name)}.`);
      }
      return issue(name, deviceDays, join(folder, "devices", name), [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      ]);
    },
    revoke: async (what) => writeList(what.includes("-----BEGIN") ? readCertificate(what).serialNumber : checkSerial(what)),
    revocationList: () => writeList(),
  };
}

function readCertificate(pem: string): x509.X509Certificate {
  try {
    return new x509.X509Certificate(pem);
  } catch (cause) {
    throw new SheafError("corrupt", "The text is no certificate in PEM form.", { cause });
  }
}

function checkSerial(text: string): string {
  const serial = text.replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{2,40}$/.test(serial)) return serial;
  throw new SheafError("usage", `A certificate's serial number is hexadecimal digits, got ${JSON.stringify(text)}.`);
}
