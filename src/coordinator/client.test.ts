/** The protocol's own client against the server on a socket with the embedded stores: enrolment, tokens that expire, large objects over a bad line, events, a restart in the middle. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openClient } from "../protocol/client.ts";
import { enrol } from "../protocol/enrol.ts";
import type { Fetch } from "../protocol/exchange.ts";
import { defaultTiming } from "../protocol/retry.ts";
import { createKey } from "../protocol/signing.ts";
import { memorySource } from "../protocol/transfer.ts";
import { random } from "../util/random.ts";
import { openDataFolder } from "./dataFolder.node.ts";
import { addressOfNode, listen } from "./listen.node.ts";
import { openLog } from "./log.ts";
import { bodies, data, type Fake, fakeCoordinator, openFake, profile } from "./server.fixture.ts";
import { openServer } from "./server.ts";
import type { Sequenced } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "sheaf-client-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const timing = { baseMs: 1, capMs: 5, attempts: 40 };

/** A coordinator on a port; the fake's devices stay when it is started again. */
async function start(fake: Fake, port: number, accessTokenMs: number) {
  const folder = await openDataFolder(join(root, "data"), (value) => value as Sequenced);
  const server = openServer({
    ...folder,
    coordinator: fakeCoordinator(() => fake),
    publicUrl: "http://127.0.0.1",
    log: openLog(() => undefined, Date.now),
    addressOf: addressOfNode,
    accessTokenMs,
    checkAnswers: true,
  });
  const listening = await listen(server, { host: "127.0.0.1", port });
  return {
    ...folder,
    port: listening.port,
    async stop() {
      await listening.close();
      await folder.close();
    },
  };
}

describe("client and server", () => {
  it("enrol, renew tokens, move large objects over a bad line and a restart, and watch", async () => {
    const fake = await openFake();
    let running = await start(fake, 0, 1500);
    const { port } = running;
    const url = `http://127.0.0.1:${port}`;
    const admin = async (): Promise<string> => (await running.tokens.issue("local", "admin", 60_000)).token;
    const boss = openClient({ url, credentials: { type: "token", token: await admin() } });
    const { token } = await boss.call("createJoinToken", { body: { uses: 1, expiresInSeconds: 60, role: "device" } });

    const { key } = await createKey();
    const stranger = openClient({ url, credentials: { type: "none" } });
    const facts = { joinToken: token, name: "device-n", profile, data, software: "test" };
    const { deviceId, serverId } = await enrol({ client: stranger, key, facts, timing: defaultTiming });
    let lost = 0;
    const losing: Fetch = async (to, init) => {
      const response = await fetch(to, init as RequestInit);
      if (!to.endsWith("/v1/enrol") || lost++ > 1) return response;
      throw new TypeError("connection reset");
    };
    const unlucky = openClient({ url, credentials: { type: "none" }, fetch: losing, timing });
    expect(await enrol({ client: unlucky, key, facts, timing: { ...defaultTiming, ...timing } })).toMatchObject({ deviceId, serverId });
    expect(lost).toBe(3);

    // A line that fails before, during and after the request, and a server that is restarted in the middle.
    const dice = random(3, "line");
    let requests = 0;
    let restarted = false;
    const badLine: Fetch = async (to, init) => {
      requests++;
      if (requests === 12 && !restarted) {
        restarted = true;
        await running.stop();
        running = await start(fake, port, 1500);
      }
      const luck = dice.uniform();
      if (luck < 0.15) throw new TypeError("connection refused");
      const response = await fetch(to, init as RequestInit);
      if (luck < 0.3) {
        await response.body?.cancel();
        throw new TypeError("connection reset");
      }
      return response;
    };
    fake.mayUpload = deviceId;
    const device = openClient({ url, credentials: { type: "device", deviceId, serverId, key }, fetch: badLine, timing });
    expect((await device.call("offer", { body: bodies.offer as never })).offer).toBeNull();
    const content = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 2654435761) >>> 24);
    const source = await memorySource(content);
    await device.upload(source);
    await device.upload(source);
    expect(restarted).toBe(true);
    expect(await running.objects.find(source.sha256)).toMatchObject({ bytes: content.length });
    fake.readable = source.sha256;
    expect(await device.objectBytes(source.sha256)).toBe(content.length);
    expect(Buffer.compare(await device.fetchObject(source), content)).toBe(0);

    // The token has expired by now; the client signs for another.
    await new Promise((resolve) => setTimeout(resolve, 1600));
    expect((await device.call("offer", { body: bodies.offer as never })).offer).toBeNull();

    const again = openClient({ url, credentials: { type: "token", token: await admin() } });
    const seen: number[] = [];
    for await (const { sequence } of again.watch("run-1", { after: 1 })) {
      seen.push(sequence);
      if (sequence === 3) break;
    }
    expect(seen).toEqual([2, 3]);
    const audited: unknown[] = [];
    for await (const line of again.lines("audit", {})) audited.push(JSON.parse(line));
    expect(audited).toHaveLength(3);
    expect(await again.text("metrics", {})).toContain("sheaf_http_requests_total");
    await again.call("revokeDevice", { deviceId });
    await expect(device.call("offer", { body: bodies.offer as never })).rejects.toMatchObject({ protocolCode: "revoked" });
    await running.stop();
  });
});
