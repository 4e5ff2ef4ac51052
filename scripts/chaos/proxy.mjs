/**
 * A bad line: an HTTP proxy before a coordinator that cuts, delays, truncates, repeats and overtakes, drawn from a seed.
 * It changes no byte that it delivers: what TCP promises holds, everything else does not.
 */
import { Agent, createServer, request as send } from "node:http";
import { pause } from "./processes.mjs";
import { below, shuffled } from "./random.mjs";

const longestDelayMs = 1200;
/** An answer that others should overtake waits for them so long at most. */
const overtakenWithinMs = 1500;
/** Faults in a row on one connection's route; then one request goes through, so that a night's work takes seconds. */
const mostInARow = 2;

/** What a fault does with a request. `forward` sends it to the coordinator and collects the answer; `line` ends in an answer, or in nothing. */
const faults = {
  /** The request never arrives. */
  async cutRequest({ hangUp }) {
    hangUp();
  },
  /** It arrives and takes effect, and nobody hears of it. */
  async cutAnswer({ forward, hangUp }) {
    await forward();
    hangUp();
  },
  async truncateRequest({ forwardHalf, hangUp }) {
    await forwardHalf();
    hangUp();
  },
  async truncateAnswer({ forward, answerHalf }) {
    answerHalf(await forward());
  },
  async delay({ forward, answer, random }) {
    await pause(random() * longestDelayMs);
    const got = await forward();
    await pause(random() * longestDelayMs);
    answer(got);
  },
  /** Twice at once; the caller gets either answer. */
  async duplicate({ forward, answer, random }) {
    const both = await Promise.all([forward(), forward()]);
    answer(both[below(random, 2)]);
  },
  /** Once more when others have come and gone since. */
  async replay({ forward, answer, random }) {
    answer(await forward());
    await pause(500 + random() * 3 * longestDelayMs);
    await forward();
  },
  /** Sent on only when one that came later was answered. */
  async reorder({ forward, answer, overtaken }) {
    const wasOvertaken = await overtaken();
    answer(await forward());
    return wasOvertaken;
  },
};

/** Names of all faults, in a fixed order. */
export const faultNames = Object.keys(faults);

/** Whether a fault can be done to a request: half of nothing is nothing. */
const applies = (name, body) => name !== "truncateRequest" || body.length > 1;

async function bodyOf(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

/**
 * Opens a bad line to `http://127.0.0.1:targetPort`. A share of `rate` of the requests (of heartbeats, which are many, a third of that) is ill-treated, each
 * kind of fault in its turn. `counts` says how often each fault was really done; `calm()` ends them.
 */
export async function openBadLine({ targetPort, random, rate = 0.3, kinds = faultNames }) {
  const counts = new Map(kinds.map((name) => [name, 0]));
  const agent = new Agent({ keepAlive: false });
  const inARow = new Map();
  const afterAnswer = new Set();
  let queue = [];
  let isCalm = false;

  const draw = (method, url, body) => {
    const isHeartbeat = url.endsWith("/heartbeat");
    const route = `${method} ${url.split("?")[0]}`;
    const before = inARow.get(route) ?? 0;
    if (isCalm || before >= mostInARow || random() >= (isHeartbeat ? rate / 3 : rate)) {
      inARow.delete(route);
      return undefined;
    }
    if (queue.length === 0) queue = shuffled(random, kinds);
    const at = queue.findIndex((name) => applies(name, body));
    if (at < 0) return undefined;
    inARow.set(route, before + 1);
    return queue.splice(at, 1)[0];
  };

  const forwardTo = (incoming, body, sent) =>
    new Promise((resolve, reject) => {
      const { method, url, headers } = incoming;
      const { connection: _, ...kept } = headers;
      const outgoing = send({ agent, host: "127.0.0.1", port: targetPort, method, path: url, headers: kept }, (answer) => {
        bodyOf(answer).then((answered) => resolve({ status: answer.statusCode, headers: answer.headers, body: answered }), reject);
      });
      outgoing.on("error", reject);
      if (sent === undefined) return outgoing.end(body);
      outgoing.write(sent, () => setTimeout(() => outgoing.destroy(new Error("cut")), 20));
    });

  const overtaken = () =>
    new Promise((resolve) => {
      const end = (was) => {
        afterAnswer.delete(now);
        clearTimeout(timer);
        resolve(was);
      };
      const now = () => end(true);
      const timer = setTimeout(() => end(false), overtakenWithinMs);
      afterAnswer.add(now);
    });

  const server = createServer(async (incoming, outgoing) => {
    const hangUp = () => outgoing.destroy();
    const answerWith = ({ status, headers, body }, bytes) => {
      const { connection: _, "transfer-encoding": __, ...kept } = headers;
      const isBodiless = incoming.method === "HEAD" || status === 204 || status === 304;
      outgoing.writeHead(status, isBodiless ? kept : { ...kept, "content-length": String(body.length) });
      if (bytes === undefined) {
        outgoing.end(body);
        for (const hear of [...afterAnswer]) hear();
      } else outgoing.write(bytes.length > 0 ? bytes : " ", () => setTimeout(hangUp, 20));
    };
    try {
      const body = await bodyOf(incoming);
      const forward = () => forwardTo(incoming, body);
      const answer = (got) => answerWith(got);
      const name = draw(incoming.method, incoming.url, body);
      if (name === undefined) return answer(await forward());
      const tools = {
        random,
        forward,
        answer,
        hangUp,
        overtaken,
        forwardHalf: () => forwardTo(incoming, body, body.subarray(0, body.length >> 1)).catch(() => undefined),
        answerHalf: (got) => (got.body.length > 1 ? answerWith(got, got.body.subarray(0, got.body.length >> 1)) : hangUp()),
      };
      const done = await faults[name](tools);
      if (done !== false) counts.set(name, counts.get(name) + 1);
      // Nobody came to overtake it: another time.
      else queue.push(name);
    } catch {
      // The coordinator is away, or the caller has gone.
      hangUp();
    }
  });
  // A long poll may take half a minute and longer.
  server.requestTimeout = 0;
  server.on("clientError", (_, socket) => socket.destroy());
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    counts,
    calm() {
      isCalm = true;
    },
    async close() {
      server.closeAllConnections();
      agent.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
