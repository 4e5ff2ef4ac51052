/** The server on a socket, by Node: TLS, time limits against slow strangers, and an orderly end. Plain HTTP is for this machine alone. */
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { isIPv6, type Server as NetServer } from "node:net";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { SheafError } from "../util/errors.ts";
import type { Server } from "./server.ts";

/** Certificates as PEM text. */
export interface TlsOptions {
  readonly key: string;
  readonly certificate: string;
  /** With this, only clients with a certificate by this authority can connect at all. */
  readonly clientAuthority?: string;
  /** Client certificates that no longer count. */
  readonly revocationList?: string;
}

export interface ListenOptions {
  /** Address to listen on, such as 127.0.0.1 or 0.0.0.0. */
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly tls?: TlsOptions;
  /** Longest wait for requests under way when closing; default 5 seconds. */
  readonly closeMs?: number;
  /** Most connections at once; default 20,000. */
  readonly connections?: number;
}

/** A server that listens. */
export interface Listening extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Replaces certificates and the revocation list for connections that come. Throws `config` without TLS, and for what is no certificate. */
  renew(tls: TlsOptions): void;
  /** Stops accepting, ends streams, finishes what is under way, closes; twice is fine. */
  close(): Promise<void>;
}

/** Whether an address is this machine's own, which no network can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** What rates are counted by: an IPv4 address, or the 64-bit network of an IPv6 address, since one caller has all addresses of it. */
export function networkOf(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [front = "", back] = (address.split("%")[0] ?? "").split("::");
  const groups = front === "" ? [] : front.split(":");
  const behind = back === undefined || back === "" ? [] : back.split(":");
  const zeros = back === undefined ? 0 : Math.max(0, 8 - groups.length - behind.length);
  const all = [...groups, ...Array<string>(zeros).fill("0"), ...behind];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, "").toLowerCase())
    .join(":")}::/64`;
}

/** `addressOf` for `openServer` behind `listen`. */
export function addressOfNode(env: unknown): string {
  const incoming = (env as Partial<HttpBindings> | undefined)?.incoming;
  return networkOf(incoming?.socket?.remoteAddress ?? "unknown");
}

const contextOf = ({ key, certificate, clientAuthority, revocationList }: TlsOptions) => ({
  key,
  cert: certificate,
  minVersion: "TLSv1.2" as const,
  ...(clientAuthority === undefined ? {} : { ca: clientAuthority }),
  ...(revocationList === undefined ? {} : { crl: revocationList }),
});

/** Time for the headers, and for a whole request: a chunk of 8 MiB at 100 kbit/s takes 11 minutes. */
const timeouts = { headersTimeout: 15_000, requestTimeout: 900_000, keepAliveTimeout: 65_000, maxHeaderSize: 16_384 };

/** Beyond this share of the most connections those are closed on which nothing is under way, so that who comes finds room. */
const crowdedShare = 0.75;
/** Looking for them takes a look at each connection, which is worth it for so many that have come, as a share of the most. */
const comersShare = 1 / 16;

/**
 * Listens. Throws `config` when the address can be reached from outside and there is no TLS, or for certificates that cannot be read;
 * `unavailable` when the port is taken.
 */
export async function listen(server: Server, { host, port, tls, closeMs = 5000, connections = 20_000 }: ListenOptions): Promise<Listening> {
  if (!tls && !isLoopback(host)) {
    throw new SheafError(
      "config",
      `Listening on ${host}, which others can reach, needs TLS; make certificates with \`sheaf cert\`, or listen on 127.0.0.1.`,
    );
  }
  const fetch = (request: Request, env: unknown): Promise<Response> => server.fetch(request, env);
  const net = withConfigError(() =>
    tls
      ? createAdaptorServer({
          fetch,
          overrideGlobalObjects: false,
          createServer: createTlsServer,
          serverOptions: { ...timeouts, ...contextOf(tls), requestCert: tls.clientAuthority !== undefined, rejectUnauthorized: true },
        })
      : createAdaptorServer({ fetch, overrideGlobalObjects: false, createServer, serverOptions: timeouts }),
  ) as ReturnType<typeof createTlsServer>;
  net.maxConnections = connections;
  let answering = 0;
  let connected = 0;
  let comers = 0;
  net.on("connection", (socket) => {
    connected++;
    if (++comers >= comersShare * connections && connected > crowdedShare * connections) {
      comers = 0;
      net.closeIdleConnections();
    }
    socket.once("close", () => {
      connected--;
    });
  });
  net.on("request", (_, outgoing) => {
    answering++;
    outgoing.once("close", () => {
      answering--;
    });
  });
  const bound = await bind(net, host, port);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      const ended = new Promise<void>((resolve) => net.close(() => resolve()));
      const late = setTimeout(() => net.closeAllConnections(), closeMs);
      // A request that does not end is left behind with its connection.
      await Promise.race([server.close(), ended]);
      // Connections on which no request ever came do not count as idle for Node, so it is asked about answers, not connections.
      const sent = setInterval(() => answering === 0 && net.closeAllConnections(), 20);
      await ended;
      clearInterval(sent);
      clearTimeout(late);
    })();
    return closed;
  };
  return {
    port: bound,
    get connections() {
      return connected;
    },
    renew(renewed) {
      if (!tls) throw new SheafError("config", "A server without TLS has no certificates to renew.");
      withConfigError(() => net.setSecureContext(contextOf(renewed)));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function withConfigError<T>(action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SheafError("config", `The TLS key or certificate cannot be used: ${reason}; make new ones with \`sheaf cert\`.`, { cause });
  }
}

async function bind(net: NetServer, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    net.once("error", reject);
    net.listen(port, host, () => {
      net.off("error", reject);
      resolve();
    });
  }).catch((cause: Error) => {
    throw new SheafError("unavailable", `Cannot listen on ${host} port ${port}: ${cause.message}; choose another port or address.`, {
      cause,
    });
  });
  const address = net.address();
  return typeof address === "object" && address !== null ? address.port : port;
}
