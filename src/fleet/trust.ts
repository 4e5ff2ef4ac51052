/** How a device trusts a coordinator that no public authority vouches for: by the fingerprint in the line that it was given, checked once and kept. */
import { connect, type DetailedPeerCertificate } from "node:tls";
import { Agent, fetch as undiciFetch } from "undici";
import type { Fetch } from "../protocol/exchange.ts";
import { SheafError } from "../util/errors.ts";

/** A fingerprint as OpenSSL prints it, or as it stands in a line to join, in 64 lower-case digits. */
export const plainFingerprint = (text: string): string => text.replaceAll(":", "").toLowerCase();

const pemOf = (raw: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${(raw.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END CERTIFICATE-----\n`;

/** Asks a server for its authority's certificate and checks it against the fingerprint. Nothing is sent. Throws `config` where it is another, `unavailable` where nobody answers. */
export function authorityOf(url: string, pin: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port || 443),
      rejectUnauthorized: false,
      timeout: 15_000,
    });
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new SheafError("unavailable", `${url} does not answer: ${reason}; look whether \`sheaf serve\` runs there.`));
    };
    socket.on("timeout", () => fail("no answer in 15 s"));
    socket.on("error", (error) => fail(error.message));
    socket.on("secureConnect", () => {
      const seen = new Set<string>();
      let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      while (certificate?.raw && !seen.has(certificate.fingerprint256)) {
        seen.add(certificate.fingerprint256);
        if (plainFingerprint(certificate.fingerprint256) === pin) {
          socket.destroy();
          return resolve(pemOf(certificate.raw));
        }
        certificate = certificate.issuerCertificate;
      }
      socket.destroy();
      reject(
        new SheafError(
          "config",
          `${url} does not show the certificate that the line to join names: somebody may stand between; get the line anew from whoever runs the coordinator.`,
        ),
      );
    });
  });
}

/** A certificate to show to coordinators that ask for one, as PEM text. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** A `fetch` that trusts one authority and no other (the system's where that is undefined), and shows a certificate where there is one. */
export function fetchTrusting(authority: string | undefined, shown?: ClientCertificate): Fetch {
  const connect = { ...(authority === undefined ? {} : { ca: authority }), ...(shown ? { cert: shown.certificate, key: shown.key } : {}) };
  const dispatcher = new Agent({ connect, headersTimeout: 0, bodyTimeout: 0 });
  return (url, init) => undiciFetch(url, { ...init, dispatcher }) as unknown as Promise<Response>;
}
