/**
 * The HTTP face of the coordinator: Hono, mounted from the protocol's table of routes. Each request passes the same gates in the same order:
 * version, rate of the address, token, role, rate of the caller, size, schema. Opens no sockets: `listen.node.ts` does.
 */
import { type Context, Hono } from "hono";
import type { ZodType } from "zod";
import { errorBody, ProtocolError } from "../protocol/errors.ts";
import type { Role } from "../protocol/messages.ts";
import type { Vitals } from "../protocol/operatorMessages.ts";
import {
  type Method,
  type PathParameters,
  pathParameterSchemas,
  type Route,
  type RouteName,
  routeNames,
  routes,
} from "../protocol/routes.ts";
import { protocolHeader, protocolVersion } from "../protocol/version.ts";
import { SheafError } from "../util/errors.ts";
import { authenticate } from "./authenticate.ts";
import { randomText } from "./bytes.ts";
import { type Call, type Handler, handlers, isSchema, type Services } from "./handlers.ts";
import { defaultLimits, rateLimiter, type ServerLimits } from "./limits.ts";
import type { Log } from "./log.ts";
import { type Metrics, openMetrics } from "./metrics.ts";
import { checkBodyHeaders, parseBy, readJson, readNothing } from "./requests.ts";
import type { Caller } from "./service.ts";

type Injected = Pick<Services, "coordinator" | "objects" | "secrets" | "tokens" | "serverId" | "publicUrl">;

export interface ServerOptions extends Injected {
  readonly log: Log;
  /** Network address of the other end; what rates of strangers are counted by. `env` is what the runtime hands to Hono's `fetch`. */
  readonly addressOf: (env: unknown) => string;
  readonly limits?: Partial<ServerLimits>;
  /** The command by which the bearer of a new token gets in; by default `sheaf join URL#TOKEN` for devices. */
  readonly joinLine?: Services["joinLine"];
  readonly vitals?: () => Vitals;
  readonly metrics?: Metrics;
  /** What is served beside the protocol; none by default. */
  readonly pages?: (request: Request) => Promise<Response | undefined>;
  readonly nowMs?: () => number;
  /** Life of a device's access token; default 15 minutes. */
  readonly accessTokenMs?: number;
  /** Longest wait for the next piece of a body; default 30 seconds. */
  readonly bodyIdleMs?: number;
  /** Whether answers are checked against their schema too; for tests. */
  readonly checkAnswers?: boolean;
}

/** A server without sockets. */
export interface Server extends AsyncDisposable {
  readonly fetch: (request: Request, env?: unknown) => Promise<Response>;
  /** Ends streams and long polls and refuses what comes, then waits for the requests under way. */
  close(): Promise<void>;
}

const secondsBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30];

/** What a request is logged and counted by, filled in on its way. */
interface Trace {
  readonly id: string;
  readonly address: string;
  readonly startedMs: number;
  caller?: Caller;
}

function defaultJoinLine(publicUrl: string): Services["joinLine"] {
  return (token, role) => (role === "device" ? `sheaf join ${publicUrl}#${token}` : `sheaf status ${publicUrl} --token ${token}`);
}

/** Makes the server. Nothing is listened to yet. */
export function openServer(options: ServerOptions): Server {
  const nowMs = options.nowMs ?? Date.now;
  const limits = { ...defaultLimits, ...options.limits };
  const metrics = options.metrics ?? openMetrics();
  let isClosing = false;
  /** Calls that wait for something, of which each is told when the server closes. */
  const waiting = new Set<AbortController>();
  let watchers = 0;
  const running = new Set<Promise<unknown>>();
  const byAddress = rateLimiter(limits.address, nowMs);
  const byCaller = rateLimiter(limits.caller, nowMs);
  const byGuess = rateLimiter(limits.guesses, nowMs);
  const requests = metrics.counter("sheaf_http_requests_total", "Requests by route and status.");
  const seconds = metrics.histogram(
    "sheaf_http_request_seconds",
    "Time until an answer begins, by route; long polls included.",
    secondsBuckets,
  );
  metrics.gauge("sheaf_http_requests_running", "Requests that are being worked on.", () => running.size);
  metrics.gauge("sheaf_watchers", "Watchers connected.", () => watchers);

  const services: Services = {
    ...options,
    // Known only once somebody listens, so that it is not taken over as it is now.
    get publicUrl() {
      return options.publicUrl;
    },
    nowMs,
    joinLine: options.joinLine ?? defaultJoinLine(options.publicUrl),
    metricsText: metrics.text,
    accessTokenMs: options.accessTokenMs ?? 15 * 60_000,
    bodyIdleMs: options.bodyIdleMs ?? 30_000,
    objectBytes: limits.objectBytes,
    claimWatcher() {
      if (watchers >= limits.watchers) return undefined;
      watchers++;
      let held = true;
      return () => {
        if (held) watchers--;
        held = false;
      };
    },
  };

  const wait = (ms: number, who: string): void => {
    if (ms > 0) throw new ProtocolError("rateLimited", `Too many requests from this ${who}; wait for Retry-After.`, { retryAfterMs: ms });
  };
  /** Counts what a guesser does: wrong tokens and signatures. */
  const guarded = async <T>(address: string, action: () => Promise<T>): Promise<T> => {
    wait(byGuess.wait(address), "address");
    try {
      return await action();
    } catch (error) {
      if (error instanceof ProtocolError && error.protocolCode === "unauthenticated") byGuess.take(address);
      throw error;
    }
  };
  const admit = async (route: Route, request: Request, trace: Trace): Promise<Caller | undefined> => {
    if (route.roles.includes("public")) return undefined;
    const header = request.headers.get("authorization");
    const caller = await (header === null ? authenticate(header, services) : guarded(trace.address, () => authenticate(header, services)));
    trace.caller = caller;
    if (!route.roles.includes(caller.role satisfies Role)) {
      throw new ProtocolError("forbidden", `This route is for ${route.roles.join(" or ")}, and the token is a ${caller.role}'s.`);
    }
    wait(byCaller.take(`${caller.role}:${caller.subject}`), "caller");
    return caller;
  };
  /** Aborts with the caller's signal, or when the server closes. */
  const leaveWith = (signal: AbortSignal): AbortController => {
    const leave = new AbortController();
    waiting.add(leave);
    leave.signal.addEventListener("abort", () => waiting.delete(leave), { once: true });
    if (signal.aborted || isClosing) leave.abort();
    else signal.addEventListener("abort", () => leave.abort(), { once: true });
    return leave;
  };
  const answer = async <N extends RouteName>(name: N, c: Context, trace: Trace): Promise<Response> => {
    const request = c.req.raw;
    const route: Route = routes[name] as Route;
    checkVersion(request.headers);
    wait(byAddress.take(trace.address), "address");
    if (running.size > limits.requests)
      throw new ProtocolError("unavailable", "The coordinator is busy; try again.", { retryAfterMs: 1000 });
    const caller = await admit(route, request, trace);
    const parameter = readParameter(route.parameter, c);
    const query = route.query && parseBy(route.query as ZodType<unknown>, c.req.query(), "The query");
    const bodyLimits = { bytes: route.limits.bodyBytes, idleMs: services.bodyIdleMs };
    checkBodyHeaders(request.headers, bodyLimits);
    const body = isSchema(route.request) ? await readJson(request, route.request as ZodType<unknown>, bodyLimits) : route.request;
    if (route.request === "none") await readNothing(request, bodyLimits);
    // Made when it is asked for, which few routes do: it costs more than the rest of a call, and AbortSignal.any keeps a trace of each in a lasting signal.
    let leave: AbortController | undefined;
    const forget = (): void => void (leave && waiting.delete(leave));
    const call = {
      ...{ route: name, request, caller, parameter, query, body, bodyBytes: bodyLimits.bytes },
      get leave() {
        leave ??= leaveWith(request.signal);
        return leave;
      },
    } as Call<N>;
    const handle: Handler<N> = handlers[name];
    const run = async () => handle(call, services);
    let reply: Awaited<ReturnType<Handler<N>>>;
    try {
      reply = await (caller ? run() : guarded(trace.address, run));
    } catch (error) {
      forget();
      throw error;
    }
    if (!(reply instanceof Response)) forget();
    if (reply instanceof Response) return reply;
    if (options.checkAnswers && isSchema(route.response)) route.response.parse(reply);
    return Response.json(reply, { status: route.status });
  };
  /** The answer to anything, with its headers; never throws. */
  const respond = async (c: Context, label: string, action: (trace: Trace) => Promise<Response>): Promise<Response> => {
    const trace: Trace = { id: randomText(9), address: options.addressOf(c.env), startedMs: nowMs() };
    let response: Response;
    let failure: ProtocolError | undefined;
    try {
      if (isClosing) throw new ProtocolError("unavailable", "The coordinator is stopping.", { retryAfterMs: 5000 });
      response = await action(trace);
    } catch (error) {
      failure = toProtocolError(error, trace, options.log);
      response = failureResponse(failure);
    }
    response.headers.set(protocolHeader, String(protocolVersion));
    response.headers.set("request-id", trace.id);
    response.headers.set("x-content-type-options", "nosniff");
    if (!response.headers.has("cache-control")) response.headers.set("cache-control", "no-store");
    requests.add({ route: label, status: String(response.status) });
    seconds.observe((nowMs() - trace.startedMs) / 1000, { route: label });
    // That a coordinator turns callers away while it stops is as it should be.
    const severity = isClosing && response.status === 503 ? "info" : response.status >= 500 ? "error" : failure ? "warn" : "debug";
    options.log(severity, "request", {
      requestId: trace.id,
      route: label,
      status: response.status,
      address: trace.address,
      caller: trace.caller && `${trace.caller.role}:${trace.caller.subject}`,
      milliseconds: nowMs() - trace.startedMs,
      code: failure?.protocolCode,
      reason: failure?.message,
    });
    return response;
  };

  const page = async (request: Request, trace: Trace): Promise<Response> => {
    wait(byAddress.take(trace.address), "address");
    const found = await options.pages?.(request);
    if (found) return found;
    throw new ProtocolError("notFound", "There is no such route; GET /v1/openapi.json lists them.");
  };
  const app = mount(respond, answer, page);
  const close = async (): Promise<void> => {
    isClosing = true;
    for (const leave of [...waiting]) leave.abort();
    await Promise.allSettled([...running]);
  };
  return {
    fetch(request, env) {
      const answered = Promise.resolve(app.fetch(request, env as object));
      running.add(answered);
      return answered.finally(() => running.delete(answered));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

type Respond = (c: Context, label: string, action: (trace: Trace) => Promise<Response>) => Promise<Response>;
type Page = (request: Request, trace: Trace) => Promise<Response>;
type Answer = <N extends RouteName>(name: N, c: Context, trace: Trace) => Promise<Response>;

/** One Hono handler per path: it knows the methods of the path, so that another one is a 405 and not a 404. */
function mount(respond: Respond, answer: Answer, page: Page): Hono {
  const app = new Hono();
  const paths = new Map<string, Map<Method, RouteName>>();
  for (const name of routeNames) {
    const { path, method } = routes[name];
    paths.set(path, (paths.get(path) ?? new Map()).set(method, name));
  }
  for (const [path, methods] of paths) {
    app.all(path, (c) => {
      // Hono treats HEAD as GET; the request itself says what it was.
      const name = methods.get(c.req.raw.method as Method);
      if (name) return respond(c, name, (trace) => answer(name, c, trace));
      return respond(c, "none", async () => {
        throw new ProtocolError(
          "methodNotAllowed",
          `${path} takes ${[...methods.keys()].join(" or ")}, got ${c.req.raw.method.slice(0, 20)}.`,
        );
      });
    });
  }
  app.notFound((c) => respond(c, "none", (trace) => page(c.req.raw, trace)));
  return app;
}

function checkVersion(headers: Headers): void {
  const asked = headers.get(protocolHeader);
  if (asked === null || asked === String(protocolVersion)) return;
  throw new ProtocolError(
    "versionUnsupported",
    `This coordinator speaks version ${protocolVersion} of the protocol, the request names ${asked.slice(0, 20)}; install the same release at both ends.`,
  );
}

function readParameter(name: keyof PathParameters | undefined, c: Context): string {
  if (!name) return "";
  const value = c.req.param(name) ?? "";
  // What can be no name is a thing that does not exist, not a mistake in form.
  if (!pathParameterSchemas[name].safeParse(value).success) throw new ProtocolError("notFound", `There is no ${name} of that form.`);
  return value;
}

function toProtocolError(error: unknown, { id }: Trace, log: Log): ProtocolError {
  if (error instanceof ProtocolError) return error;
  if (error instanceof SheafError && error.code === "storage") {
    log("error", "storage", { requestId: id, reason: error.message });
    return new ProtocolError("storageFull", "The coordinator could not write; its log says why.", { cause: error, retryAfterMs: 60_000 });
  }
  log("error", "defect", { requestId: id, reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  return new ProtocolError("internal", `The coordinator failed; its log tells more at request ${id}.`, { cause: error });
}

function failureResponse(error: ProtocolError): Response {
  const headers = new Headers();
  if (error.retryAfterMs !== undefined) headers.set("retry-after", String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))));
  if (error.status === 401) headers.set("www-authenticate", "Bearer");
  // A body that was not read to its end cannot be followed by another request on the connection.
  if (error.status === 413 || error.status === 408) headers.set("connection", "close");
  return Response.json(errorBody(error), { status: error.status, headers });
}
