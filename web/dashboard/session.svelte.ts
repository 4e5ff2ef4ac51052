/** Who is signed in. The token lives in this tab's session storage and in headers; an address carries it once, and is cleaned at once. */
import { type Client, openClient } from "../../src/protocol/client.ts";
import { ProtocolError } from "../../src/protocol/errors.ts";

export interface Session {
  readonly role: "viewer" | "admin";
  readonly accessToken: string;
  readonly expiresAt: number;
}

interface SessionState {
  /** Undefined while nobody is signed in. */
  current: Session | undefined;
  /** A sign-in is under way. */
  busy: boolean;
  /** Why the last one failed, or why one has to sign in again. */
  problem: string;
}

const key = "sheaf-session";
/** What sign-in tokens begin with, and access tokens. */
const signInPattern = /sheafsignin-[A-Za-z0-9_-]+/;
const accessPattern = /^sheaf1\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/;

function stored(): Session | undefined {
  try {
    const found = JSON.parse(sessionStorage.getItem(key) ?? "null") as Session | null;
    return found && found.expiresAt > Date.now() ? found : undefined;
  } catch {
    return undefined;
  }
}

export const session: SessionState = $state({ current: stored(), busy: false, problem: "" });

function keep(found: Session): void {
  session.current = found;
  session.problem = "";
  sessionStorage.setItem(key, JSON.stringify(found));
}

/** Forgets the token. */
export function signOut(problem: string = ""): void {
  sessionStorage.removeItem(key);
  session.current = undefined;
  session.problem = problem;
}

const address = location.origin;

/** Whom an access token is for, as it says itself; the coordinator does not take this page's word for it. */
function readAccessToken(text: string): Session | undefined {
  const [, payload = ""] = accessPattern.exec(text) ?? [];
  try {
    const { role, exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { role: string; exp: number };
    return role === "viewer" || role === "admin" ? { role, accessToken: text, expiresAt: exp } : undefined;
  } catch {
    return undefined;
  }
}

/** Signs in with a dashboard's address, its sign-in token, or an access token. */
export async function signIn(text: string): Promise<void> {
  const [signInToken] = signInPattern.exec(text) ?? [];
  session.busy = true;
  try {
    if (signInToken !== undefined) {
      const client = openClient({ url: address, credentials: { type: "none" }, allowPlainHttp: true, timing: { attempts: 2 } });
      const { accessToken, role, expiresAt } = await client.call("signIn", { body: { signInToken } });
      keep({ accessToken, role, expiresAt });
      return;
    }
    const found = readAccessToken(text.trim());
    if (!found) throw new Error("This is neither a dashboard's address nor a viewer's or administrator's token.");
    await clientOf(found).call("listRuns", {});
    keep(found);
  } catch (error) {
    signOut(error instanceof Error ? error.message : String(error));
  } finally {
    session.busy = false;
  }
}

/** Takes a sign-in token out of the address, if there is one, and signs in with it. */
export async function signInFromAddress(): Promise<void> {
  const [signInToken] = signInPattern.exec(location.hash) ?? [];
  if (signInToken === undefined) return;
  history.replaceState(null, "", location.pathname);
  await signIn(signInToken);
}

function clientOf({ accessToken }: Session): Client {
  return openClient({ url: address, credentials: { type: "token", token: accessToken }, allowPlainHttp: true, timing: { attempts: 4 } });
}

/** A client for the one who is signed in. */
export function openSessionClient(found: Session): Client {
  return clientOf(found);
}

/** What an error says; one who must sign in again is signed out. */
export function explain(error: unknown): string {
  if (error instanceof ProtocolError && ["unauthenticated", "expired", "revoked"].includes(error.protocolCode)) signOut(error.message);
  return error instanceof Error ? error.message : String(error);
}
