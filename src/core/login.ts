import { readApiKey } from '../store/api-keys.ts';
import { transact } from '../store/open.ts';
import { type Db, findUsersByName, lockUser, readSignIn, type SignInRow, updateUser } from '../store/users.ts';
import { liveStatuses, type Status } from './access.ts';
import { type AuditEvent, record } from './audit.ts';
import { authenticate } from './authenticate.ts';
import type { CallerFacts, Credential } from './context.ts';
import { type Core, nowSeconds } from './core.ts';
import { CoreError } from './errors.ts';
import { isNameLike } from './names.ts';
import { normalizeName, normalizePassword } from './passwords.ts';
import {
  endWithin,
  type NewSession,
  type OpenedSession,
  openSession,
  type SenderFacts,
  type SessionPolicy,
} from './sessions.ts';
import { type AdmittedTry, admitTry, lockAfterFailures } from './throttle.ts';
import { digestApiKey, sha256 } from './tokens.ts';

export type LoginInput = {
  readonly name: string;
  readonly password: string;
  /** `login_first`: an e-mail counts only if no login name matches. `either`: both count, and two users are a wrong login. */
  readonly matching: 'login_first' | 'either';
  readonly policy: SessionPolicy;
  readonly caller: CallerFacts;
  /** A session that came along with the login; it ends, and is never adopted. */
  readonly replacesSessionId?: string;
  readonly sender?: SenderFacts;
};

/** What every kind of sign-in has in common. */
type SignInFrame = Pick<LoginInput, 'policy' | 'caller' | 'replacesSessionId' | 'sender'>;

export type KeyLoginInput = SignInFrame & {
  /** `apiKey-<user id>`. */
  readonly keyName: string;
  /** The API key itself. */
  readonly keySecret: string;
};

/**
 * Signs in by name and password. Unknown name, wrong password, disabled, locked and ambiguous are one refusal at one cost:
 * each is counted before, and each spends one password hash.
 * @throws CoreError `login_refused`, `throttled`, `step_due`, `unavailable`; `input_invalid` for a password no user can have
 */
export async function login(core: Core, input: LoginInput): Promise<OpenedSession> {
  const password = normalizePassword(input.password);
  if (password === null)
    throw new CoreError('input_invalid', { field: 'password', reason: 'is not a usable password' });
  const nameKey = normalizeName(input.name);
  const user = await findUser(core, nameKey, input.matching);
  const attempt = { nameKey, userId: user?.id ?? null };
  return tryOnce(core, attempt, input, async (admitted) => {
    const right = await isPasswordRight(core, user, password, input.caller);
    if (user === null || !right) return null;
    const newHash = core.hasher.isOutdated(user.password_hash ?? '') ? await core.hasher.hash(password) : null;
    return transact(core.store, async (trx) => {
      const present = await lockUser(trx, user.id);
      // Between reading and here the password was changed, the user disabled, or all sessions ended: the login comes too late.
      if (present === undefined || !isUnchanged(present, user)) return null;
      if (newHash !== null) await updateUser(trx, user.id, { password_hash: newHash });
      return signIn(trx, core, present, null, admitted, input);
    });
  });
}

/**
 * Signs in by an API key and the name of its owner; the session ends with the key.
 * @throws CoreError `login_refused`, `throttled`, `step_due`, `unavailable`
 */
export async function loginWithKey(core: Core, input: KeyLoginInput): Promise<OpenedSession> {
  const digest = digestApiKey(input.keySecret);
  const attempt = { nameKey: input.keyName, userId: null };
  return tryOnce(core, attempt, input, async (admitted) => {
    const key = digest === null ? undefined : await readApiKey(core.store.checks, digest);
    if (key === undefined || input.keyName !== `apiKey-${key.user_id}`) return null;
    if (key.key_expires_at !== null && key.key_expires_at <= nowSeconds(core)) return null;
    return transact(core.store, async (trx) => {
      const present = await lockUser(trx, key.user_id);
      const stillThere = await readApiKey(trx, digest as string);
      if (present === undefined || stillThere?.key_id !== key.key_id || !maySignIn(present)) return null;
      return signIn(trx, core, present, key.key_id, admitted, input);
    });
  });
}

/** What a right credential came to. */
type SignedIn = NewSession | 'step_due';

/** The frame around every kind of sign-in: count first, then judge, then tell the one refusal or the session. */
async function tryOnce(
  core: Core,
  attempt: { readonly nameKey: string; readonly userId: number | null },
  input: Pick<LoginInput, 'caller' | 'policy'>,
  judge: (admitted: AdmittedTry) => Promise<SignedIn | null>,
): Promise<OpenedSession> {
  const admitted = await admitTry(core, { ...attempt, address: input.caller.address });
  try {
    const signedIn = await judge(admitted);
    if (signedIn === null) {
      await recordFailure(core, 'login.failed', attempt, input.caller);
      throw new CoreError('login_refused');
    }
    if (signedIn === 'step_due') throw new CoreError('step_due');
    return { ...signedIn, context: await authenticate(core, presented(input.policy, signedIn.credential)) };
  } finally {
    admitted.close();
  }
}

/** What the client will present from now on. */
function presented(policy: SessionPolicy, text: string): Credential {
  return policy.form === 'token' ? { kind: 'bearer', token: text } : { kind: policy.form, secret: text };
}

/** In the transaction that holds the user's row: forgive the counted try, then open the session, or say what is due first. */
async function signIn(
  trx: Db,
  core: Core,
  user: SignInRow,
  apiKeyId: number | null,
  admitted: AdmittedTry,
  input: SignInFrame,
): Promise<SignedIn> {
  await admitted.forgive(trx);
  await updateUser(trx, user.id, { failed_passwords: 0 });
  const facts = { actorId: user.id, caller: input.caller };
  if (user.password_change_due === 1) {
    await record(trx, core, 'login.step_due', facts);
    return 'step_due';
  }
  const owner = { userId: user.id, generation: user.session_generation, apiKeyId };
  const session = await openSession(trx, core, owner, input.policy, input.caller, input.sender);
  // The try itself was counted in advance, so what stood before it is one less.
  const detail = { ...input.sender, entry: input.policy.entry, failuresBefore: Math.max(0, user.failed_passwords - 1) };
  await record(trx, core, 'login.succeeded', { ...facts, sessionId: session.id, detail });
  if (input.replacesSessionId !== undefined) await endWithin(trx, core, input.replacesSessionId, facts);
  return session;
}

async function findUser(core: Core, nameKey: string, matching: LoginInput['matching']): Promise<SignInRow | null> {
  if (!isNameLike(nameKey)) return null;
  const found = await findUsersByName(core.store.checks, nameKey);
  if (matching === 'login_first') {
    const byLogin = found.find((user) => user.login_key === nameKey);
    if (byLogin !== undefined) return byLogin;
  }
  return found.length === 1 ? (found[0] ?? null) : null;
}

/** Spends one hash whatever the case. */
async function isPasswordRight(
  core: Core,
  user: SignInRow | null,
  password: string,
  caller: CallerFacts,
): Promise<boolean> {
  if (user === null || user.password_hash === null || user.failed_passwords >= lockAfterFailures) {
    await core.hasher.verifyDummy(password);
    return false;
  }
  const verdict = await core.hasher.verify(password, user.password_hash);
  if (verdict === 'damaged') {
    await core.hasher.verifyDummy(password);
    core.log.error('login.damaged_hash', { userId: user.id });
    await recordFailure(core, 'login.damaged_hash', { nameKey: '', userId: user.id }, caller);
    return false;
  }
  const expired = user.password_expires_at !== null && user.password_expires_at <= nowSeconds(core);
  return verdict === 'match' && maySignIn(user) && !expired;
}

function maySignIn(user: SignInRow): boolean {
  return liveStatuses.includes(user.status as Status);
}

function isUnchanged(present: SignInRow, read: SignInRow): boolean {
  return (
    maySignIn(present) &&
    present.password_hash === read.password_hash &&
    present.session_generation === read.session_generation
  );
}

/** A refused login is refused whether or not it can be written down: a store in trouble costs the record, and a warning. */
async function recordFailure(
  core: Core,
  event: AuditEvent,
  attempt: { readonly nameKey: string; readonly userId: number | null },
  caller: CallerFacts,
): Promise<void> {
  const detail = { name: sha256(attempt.nameKey).slice(0, 8) };
  try {
    await transact(core.store, (trx) =>
      record(trx, core, event, { actorId: null, targetId: attempt.userId, caller, detail }),
    );
  } catch (error) {
    core.log.warn('audit.not_written', { event, error });
  }
}

/**
 * Judges a signed-in user's current password, counted and throttled like a login.
 * @throws CoreError `current_password_wrong`, `throttled`, `unavailable`
 * @returns the user as read, and how to forgive the counted try
 */
export async function withCurrentPassword<T>(
  core: Core,
  who: { readonly userId: number; readonly login: string; readonly caller: CallerFacts },
  password: string | null,
  change: (user: SignInRow, admitted: AdmittedTry) => Promise<T>,
): Promise<T> {
  const attempt = { nameKey: normalizeName(who.login), userId: who.userId };
  const admitted = await admitTry(core, { ...attempt, address: who.caller.address });
  try {
    const user = (await readSignIn(core.store.checks, who.userId)) ?? null;
    const right = password !== null && (await isPasswordRight(core, user, password, who.caller));
    if (user === null || !right) {
      await recordFailure(core, 'password.change_failed', attempt, who.caller);
      throw new CoreError('current_password_wrong');
    }
    return await change(user, admitted);
  } finally {
    admitted.close();
  }
}
