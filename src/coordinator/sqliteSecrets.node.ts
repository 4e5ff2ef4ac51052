/** The tables of join tokens, seen values and revoked tokens in the embedded store's SQLite file. */
import type Database from "libsql";
import { SheafError } from "../util/errors.ts";
import type { Guard } from "./sqliteLog.node.ts";
import { transact } from "./sqliteTransaction.node.ts";
import type { JoinRole, JoinToken, JoinTokenUse, SecretStore } from "./store.ts";

type Row = Readonly<Record<string, unknown>>;

const roles: readonly JoinRole[] = ["device", "viewer", "admin"];

function readToken(row: Row): JoinToken {
  const role = roles.find((known) => known === row.role);
  if (!role) throw new SheafError("corrupt", `A join token must have role ${roles.join(", ")}, got ${JSON.stringify(row.role)}.`);
  return {
    tokenHash: String(row.token_hash),
    role,
    uses: Number(row.uses),
    usesLeft: Number(row.uses_left),
    createdAtMs: Number(row.created_at_ms),
    expiresAtMs: Number(row.expires_at_ms),
  };
}

/** The secret store over an open database; `openSqliteStores` is its one caller. */
export function sqliteSecrets(database: Database.Database, guard: Guard, close: () => Promise<void>): SecretStore {
  const find = database.prepare("SELECT * FROM join_tokens WHERE token_hash = ?");
  const isUser = database.prepare("SELECT 1 AS known FROM join_token_users WHERE token_hash = ? AND user = ?");
  const addUser = database.prepare("INSERT INTO join_token_users (token_hash, user) VALUES (?, ?)");
  const countUse = database.prepare("UPDATE join_tokens SET uses_left = uses_left - 1 WHERE token_hash = ?");
  const use = (tokenHash: string, user: string, nowMs: number): JoinTokenUse => {
    const row = find.get(tokenHash);
    if (!row) return { ok: false, problem: "unknown" };
    const token = readToken(row as Row);
    if (nowMs >= token.expiresAtMs) return { ok: false, problem: "expired" };
    if (!isUser.get(tokenHash, user)) {
      if (token.usesLeft <= 0) return { ok: false, problem: "usedUp" };
      addUser.run(tokenHash, user);
      countUse.run(tokenHash);
    }
    return { ok: true, role: token.role };
  };
  const rememberOnce = database.prepare(
    `INSERT INTO remembered VALUES (?, ?)
     ON CONFLICT (value) DO UPDATE SET expires_at_ms = excluded.expires_at_ms WHERE remembered.expires_at_ms <= ?`,
  );
  const revoked = database.prepare("SELECT 1 AS known FROM revoked WHERE token_id = ?");
  const run = (sql: string, ...values: readonly (string | number)[]): number => guard(() => database.prepare(sql).run(...values).changes);
  /** Writes that come together are written together: a whole fleet may enrol at once, and each write waits for the disk. */
  let together: { readonly actions: (() => unknown)[]; readonly written: Promise<readonly unknown[]> } | undefined;
  const write = async <T>(action: () => T): Promise<T> => {
    together ??= (() => {
      const actions: (() => unknown)[] = [];
      const written = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        together = undefined;
        return guard(() => transact(database, () => actions.map((each) => each())));
      });
      return { actions, written };
    })();
    const { actions, written } = together;
    const place = actions.push(action) - 1;
    return (await written)[place] as T;
  };
  return {
    addJoinToken: async ({ tokenHash, role, uses, createdAtMs, expiresAtMs }) => {
      run("INSERT INTO join_tokens VALUES (?, ?, ?, ?, ?, ?)", tokenHash, role, uses, uses, createdAtMs, expiresAtMs);
    },
    useJoinToken: (tokenHash, user, nowMs) => write(() => use(tokenHash, user, nowMs)),
    removeJoinToken: async (tokenHash) => run("DELETE FROM join_tokens WHERE token_hash = ?", tokenHash) > 0,
    joinTokens: async () =>
      guard(() =>
        database
          .prepare("SELECT * FROM join_tokens ORDER BY created_at_ms")
          .all()
          .map((row) => readToken(row as Row)),
      ),
    remember: async (value, expiresAtMs, nowMs) => (await write(() => rememberOnce.run(value, expiresAtMs, nowMs).changes)) > 0,
    revoke: async (tokenId, expiresAtMs) => {
      run("INSERT OR REPLACE INTO revoked VALUES (?, ?)", tokenId, expiresAtMs);
    },
    isRevoked: async (tokenId) => guard(() => revoked.get(tokenId) !== undefined),
    async forget(nowMs) {
      for (const table of ["join_tokens", "remembered", "revoked"]) run(`DELETE FROM ${table} WHERE expires_at_ms <= ?`, nowMs);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
