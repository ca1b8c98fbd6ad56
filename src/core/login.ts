import { type ApiKeyRow, readApiKey } from '../store/api-keys.ts';
import * as store from '../store/users.ts';
import { isLiveStatus } from './access.ts';
import { type AuditEvent, record } from './audit.ts';
import { authenticate } from './authenticate.ts';
import { change } from './change.ts';
import { type CallerFacts, type Credential, type SessionContext, toUserFacts } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { countOutcome } from './counts.ts';
import { recordFailure, verifyPassword } from './current-password.ts';
import { CoreError } from './errors.ts';
import { isNameLike } from './names.ts';
import { normalizeName, normalizePassword } from './passwords.ts';
import {
  endWithin,
  type NewSession,
  type OpenedSession,
  openSession,
  requireRoom,
  type SenderFacts,
  type SessionPolicy,
} from './sessions.ts';
import { type AdmittedTry, type TryFacts, withTry } from './throttle.ts';
import { digestApiKey } from './tokens.ts';

export type PasswordInput = {
  readonly name: string;
  readonly password: string;
  /** `login_first`: an e-mail counts only if no login name matches. `either`: both count, and two users are a wrong login. */
  readonly matching: 'login_first' | 'either';
  readonly caller: CallerFacts;
};

/** How the session of a sign-in is opened. */
type SessionInput = {
  readonly policy: SessionPolicy;
  readonly caller: CallerFacts;
  /** A session that came along with the login; it ends, and is never adopted. */
  readonly replaces?: { readonly sessionId: string; readonly userId: number };
  readonly sender?: SenderFacts;
};

export type LoginInput = PasswordInput & SessionInput;

export type KeyLoginInput = SessionInput & {
  /** `apiKey-<user id>`. */
  readonly keyName: string;
  /** The API key itself. */
  readonly keySecret: string;
};

/** What a try came to. Every cause of a refusal is one to the caller; the audit keeps them apart. */
type Verdict<T> =
  | { readonly kind: 'right'; readonly result: T }
  | { readonly kind: 'step_due' }
  | { readonly kind: 'refused'; readonly event: AuditEvent };

const refused = { kind: 'refused', event: 'login.failed' } as const;

/** What happens in the transaction that holds the user's row, once the secret has proved right. */
type Enter<T> = {
  readonly run: (trx: store.Db, user: store.SignInRow) => Promise<T>;
  /** Whose sessions end by it beside the user's own, of which the oldest beyond the cap do. */
  readonly concerns: readonly number[];
};

/**
 * Signs in by name and password. Unknown name, wrong password, disabled, locked and ambiguous are one refusal at one cost:
 * each is counted before, and each spends one password hash.
 * @throws CoreError `login_refused`, `throttled`, `step_due`, `unavailable`; `input_invalid` for a password no user can have
 */
export function login(core: Core, input: LoginInput): Promise<OpenedSession> {
  return countOutcome(core.counts.logins, loginByPassword(core, input));
}

async function loginByPassword(core: Core, input: LoginInput): Promise<OpenedSession> {
  const session = await judgePassword(core, input, opening(core, null, input));
  return present(core, input.policy, session);
}

/**
 * Signs in by password for one request, without a session.
 * @throws CoreError as `login`
 */
export function checkPassword(core: Core, input: PasswordInput): Promise<SessionContext> {
  const run = async (trx: store.Db, user: store.SignInRow) => {
    const detail = { entry: 'password' };
    await record(trx, core, 'login.succeeded', { actorId: user.id, caller: input.caller, detail });
    return describeUser(trx, core, user.id);
  };
  return countOutcome(core.counts.logins, judgePassword(core, input, { run, concerns: [] }));
}

/**
 * Signs in by an API key and the name of its owner; the session ends with the key.
 * @throws CoreError `login_refused`, `throttled`, `step_due`, `unavailable`
 */
export function loginWithKey(core: Core, input: KeyLoginInput): Promise<OpenedSession> {
  return countOutcome(core.counts.logins, loginByKey(core, input));
}

async function loginByKey(core: Core, input: KeyLoginInput): Promise<OpenedSession> {
  const key = await findKey(core, input);
  const owner = key === null ? null : ((await store.readSignIn(core.store.checks, key.user_id)) ?? null);
  const userId = /^apiKey-[1-9]\d{0,8}$/.test(input.keyName) ? Number(input.keyName.slice('apiKey-'.length)) : null;
  const facts = { nameKey: input.keyName, userId, address: input.caller.address, secret: 'api_key' } as const;
  const session = await tryOnce(core, facts, input.caller, async (admitted): Promise<Verdict<NewSession>> => {
    if (key === null || owner === null) return refused;
    const mayStill = async (trx: store.Db) =>
      (await readApiKey(trx, digestApiKey(input.keySecret) ?? ''))?.key_id === key.key_id;
    return enterAs(core, owner, admitted, input.caller, mayStill, opening(core, key.key_id, input));
  });
  return present(core, input.policy, session);
}

async function findKey(core: Core, input: KeyLoginInput): Promise<ApiKeyRow | null> {
  const digest = digestApiKey(input.keySecret);
  const key = digest === null ? undefined : await readApiKey(core.store.checks, digest);
  if (key === undefined || input.keyName !== `apiKey-${key.user_id}`) return null;
  return key.key_expires_at !== null && key.key_expires_at <= nowSeconds(core) ? null : key;
}

async function judgePassword<T>(core: Core, input: PasswordInput, enter: Enter<T>): Promise<T> {
  const password = normalizePassword(input.password);
  if (password === null)
    throw new CoreError('input_invalid', { field: 'password', reason: 'is not a usable password' });
  // A flood is turned away before it costs the store a look at anybody.
  core.hasher.requirePlace();
  const nameKey = normalizeName(input.name);
  const user = await findUser(core, nameKey, input.matching);
  const facts = { nameKey, userId: user?.id ?? null, address: input.caller.address, secret: 'password' } as const;
  return tryOnce(core, facts, input.caller, async (admitted): Promise<Verdict<T>> => {
    const verdict = await verifyPassword(core, user, password, admitted);
    if (verdict === 'damaged') return { kind: 'refused', event: 'login.damaged_hash' };
    if (user === null || verdict !== 'match' || isPasswordExpired(core, user)) return refused;
    const newHash = core.hasher.isOutdated(user.password_hash ?? '') ? await core.hasher.hash(password) : null;
    const run = async (trx: store.Db, locked: store.SignInRow) => {
      await store.updateUser(trx, user.id, { failed_passwords: 0 });
      if (newHash !== null) await store.replaceHash(trx, user.id, user.password_hash, newHash);
      return enter.run(trx, locked);
    };
    return enterAs(core, user, admitted, input.caller, notChanged, { ...enter, run });
  });
}

/** A password that changed raises the user's generation, which `enterAs` compares. */
const notChanged = async () => true;

/** The frame around every kind of sign-in: count first, then judge, then tell the one refusal or the result. */
async function tryOnce<T>(
  core: Core,
  facts: TryFacts,
  caller: CallerFacts,
  judge: (admitted: AdmittedTry) => Promise<Verdict<T>>,
): Promise<T> {
  // Before anything is counted or hashed: what space is left belongs to those who end sessions.
  requireRoom(core);
  const verdict = await withTry(core, facts, judge);
  if (verdict.kind === 'right') return verdict.result;
  if (verdict.kind === 'step_due') throw new CoreError('step_due');
  await recordFailure(core, verdict.event, facts, caller);
  throw new CoreError('login_refused');
}

/**
 * The transaction of a sign-in. Whoever was disabled, or whose password or sessions were ended, between reading and here comes too
 * late: the generation tells.
 */
async function enterAs<T>(
  core: Core,
  read: store.SignInRow,
  admitted: AdmittedTry,
  caller: CallerFacts,
  mayStill: (trx: store.Db) => Promise<boolean>,
  enter: Enter<T>,
): Promise<Verdict<T>> {
  const work = async (trx: store.Db): Promise<Verdict<T>> => {
    const user = await store.lockUser(trx, read.id);
    if (user === undefined || !isLiveStatus(user.status)) return refused;
    if (user.session_generation !== read.session_generation || !(await mayStill(trx))) return refused;
    await admitted.forgive(trx);
    if (user.password_change_due === 1) {
      await record(trx, core, 'login.step_due', { actorId: user.id, caller });
      return { kind: 'step_due' };
    }
    return { kind: 'right', result: await enter.run(trx, user) };
  };
  return change(core, work, [read.id, ...enter.concerns]);
}

function isPasswordExpired(core: Core, user: store.SignInRow): boolean {
  return user.password_expires_at !== null && user.password_expires_at <= nowSeconds(core);
}

function opening(core: Core, apiKeyId: number | null, input: SessionInput): Enter<NewSession> {
  const { replaces } = input;
  return {
    run: (trx, user) => open(trx, core, user, apiKeyId, input),
    concerns: replaces === undefined ? [] : [replaces.userId],
  };
}

/** Opens the session of a user whose row is held. Rows of sessions come before the audit's, as everywhere. */
async function open(
  trx: store.Db,
  core: Core,
  user: store.SignInRow,
  apiKeyId: number | null,
  input: SessionInput,
): Promise<NewSession> {
  const { policy, caller, sender, replaces } = input;
  const owner = { userId: user.id, generation: user.session_generation, apiKeyId };
  const session = await openSession(trx, core, owner, policy, caller, sender);
  const facts = { actorId: user.id, targetId: user.id, caller };
  if (replaces !== undefined) await endWithin(trx, core, replaces.sessionId, facts);
  // A password try was counted in advance, so what stood before it is one less.
  const failuresBefore = Math.max(0, user.failed_passwords - (apiKeyId === null ? 1 : 0));
  const detail = { ...sender, entry: policy.entry, failuresBefore };
  await record(trx, core, 'login.succeeded', { ...facts, sessionId: session.id, detail });
  return session;
}

/** Reads the new session as its client will: one that was ended in the meantime was refused. */
async function present(core: Core, policy: SessionPolicy, session: NewSession): Promise<OpenedSession> {
  try {
    return { ...session, context: await authenticate(core, presented(policy, session.credential)) };
  } catch (error) {
    const ended = error instanceof CoreError && error.code === 'session_invalid';
    throw ended ? new CoreError('login_refused') : error;
  }
}

/** What the client will present from now on. */
function presented(policy: SessionPolicy, text: string): Credential {
  return policy.form === 'token' ? { kind: 'bearer', token: text } : { kind: policy.form, secret: text };
}

async function describeUser(trx: store.Db, core: Core, userId: number): Promise<SessionContext> {
  const row = await store.readUser(trx, userId);
  if (row === undefined) throw new CoreError('login_refused');
  return {
    credential: 'password',
    user: toUserFacts(row),
    session: null,
    principal: `user:${userId}`,
    createdAt: nowSeconds(core),
    expiresAt: null,
    stepDue: false,
  };
}

async function findUser(
  core: Core,
  nameKey: string,
  matching: PasswordInput['matching'],
): Promise<store.SignInRow | null> {
  if (!isNameLike(nameKey)) return null;
  const found = await store.findUsersByName(core.store.checks, nameKey);
  if (matching === 'login_first') {
    const byLogin = found.find((user) => user.login_key === nameKey);
    if (byLogin !== undefined) return byLogin;
  }
  return found.length === 1 ? (found[0] ?? null) : null;
}
