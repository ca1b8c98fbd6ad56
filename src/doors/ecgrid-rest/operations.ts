import type { z } from 'zod';
import * as core from '../../core/index.ts';
import { remember } from '../../http/remember.ts';
import type { Soon } from '../../soon.ts';
import { type Presented, readBearer } from './credentials.ts';
import { EcgridError } from './errors.ts';
import * as wire from './wire.ts';

/** The settings of this door, section 12 of the contract. */
export type EcgridSettings = {
  readonly tokenSeconds: number;
  readonly refreshGraceSeconds: number;
  readonly keepSessionsOnPasswordChange: boolean;
  readonly corsOrigins: readonly string[];
};

/** What an operation gets: everything judged that could be judged before it. */
export type Call<Body> = {
  readonly core: core.Core;
  readonly settings: EcgridSettings;
  readonly caller: core.CallerFacts;
  readonly presented: Presented;
  readonly body: Body;
  /** The `{id}` of the path; 0 where the path has none. */
  readonly id: number;
};

export type SignedInCall<Body> = Call<Body> & { readonly context: core.SessionContext };

/** What a success answers beside the fixed members. */
export type Outcome = { readonly data: unknown; readonly message?: string };

type Access =
  /** Anybody; credential headers are not judged. */
  | 'public'
  /** A good session or key. */
  | 'signed_in'
  /** Also while the user has to change the password first. */
  | 'signed_in_step_due';

/** A body that is read and judged; without a schema the body is drained and dropped, whatever it is. */
type BodyRule<Body> = { readonly schema: z.ZodType<Body>; readonly mayBeEmpty?: boolean } | 'ignored';

export type Operation = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly access: Access;
  readonly body: BodyRule<unknown>;
  readonly run: (call: SignedInCall<unknown>) => Soon<Outcome>;
};

type Row<Body> = Omit<Operation, 'access' | 'body' | 'run'> & { readonly body: BodyRule<Body> } & (
    | { readonly access: 'public'; readonly run: (call: Call<Body>) => Soon<Outcome> }
    | { readonly access: Exclude<Access, 'public'>; readonly run: (call: SignedInCall<Body>) => Soon<Outcome> }
  );

/** Ties the body's schema to what the operation receives; the table below holds rows of different bodies. */
function row<Body>(operation: Row<Body>): Operation {
  return operation as Operation;
}

/** Section 6 of the contract: every operation, and who may call it. */
export const operations: readonly Operation[] = [
  row({ method: 'POST', path: '/v2/auth/session', access: 'signed_in', body: 'ignored', run: showSession }),
  row({ method: 'POST', path: '/v2/auth/login', access: 'public', body: { schema: wire.loginBody }, run: login }),
  row({
    method: 'POST',
    path: '/v2/auth/refresh',
    access: 'public',
    body: { schema: wire.refreshBody, mayBeEmpty: true },
    run: refresh,
  }),
  row({ method: 'POST', path: '/v2/auth/logout', access: 'signed_in_step_due', body: 'ignored', run: logout }),
  row({ method: 'GET', path: '/v2/auth/version', access: 'public', body: 'ignored', run: showVersion }),
  row({
    method: 'PUT',
    path: '/v2/auth/password',
    access: 'signed_in_step_due',
    body: { schema: wire.passwordChangeBody },
    run: changePassword,
  }),
  row({ method: 'POST', path: '/v2/users/key-generate/{id}', access: 'signed_in', body: 'ignored', run: generateKey }),
  row({ method: 'GET', path: '/v2/users/key/{id}', access: 'signed_in', body: 'ignored', run: showKey }),
  row({ method: 'GET', path: '/v2/users/me', access: 'signed_in', body: 'ignored', run: showOwnUser }),
  row({ method: 'GET', path: '/v2/users/{id}', access: 'signed_in', body: 'ignored', run: showUser }),
  row({ method: 'DELETE', path: '/v2/users/{id}', access: 'signed_in', body: 'ignored', run: deleteUser }),
  row({
    method: 'POST',
    path: '/v2/users',
    access: 'signed_in',
    body: { schema: wire.createUserBody },
    run: createUser,
  }),
  row({
    method: 'PUT',
    path: '/v2/users',
    access: 'signed_in',
    body: { schema: wire.updateUserBody },
    run: updateUser,
  }),
  row({
    method: 'POST',
    path: '/v2/users/list',
    access: 'signed_in',
    body: { schema: wire.listUsersBody, mayBeEmpty: true },
    run: listUsers,
  }),
  row({
    method: 'POST',
    path: '/v2/users/by-name',
    access: 'signed_in',
    body: { schema: wire.byNameBody },
    run: findUser,
  }),
  row({ method: 'POST', path: '/v2/users/reset/{id}', access: 'signed_in', body: 'ignored', run: resetUser }),
  row({
    method: 'POST',
    path: '/v2/users/password',
    access: 'signed_in',
    body: { schema: wire.setPasswordBody },
    run: setPassword,
  }),
  row({
    method: 'POST',
    path: '/v2/users/role',
    access: 'signed_in',
    body: { schema: wire.changeRoleBody },
    run: changeRole,
  }),
  row({
    method: 'POST',
    path: '/v2/users/set-network-mailbox',
    access: 'signed_in',
    body: { schema: wire.moveUserBody },
    run: moveUser,
  }),
  row({
    method: 'POST',
    path: '/v2/users/generate-password',
    access: 'signed_in',
    body: { schema: wire.generatePasswordBody, mayBeEmpty: true },
    run: generatePassword,
  }),
];

function showSession({ context }: SignedInCall<unknown>): Outcome {
  return describeSession(context);
}

const describeSession = remember((context: core.SessionContext): Outcome => ({ data: wire.sessionView(context) }));

async function login({
  core: cardea,
  settings,
  caller,
  body,
}: Call<z.output<typeof wire.loginBody>>): Promise<Outcome> {
  const policy = {
    entry: 'ecgrid-rest',
    idleSeconds: null,
    tokenSeconds: settings.tokenSeconds,
    form: 'token',
  } as const;
  const { login: name, password } = body;
  const opened = await core.login(cardea, { name, password, matching: 'login_first', policy, caller });
  return { data: wire.loginView(opened) };
}

/** The body's token counts; without one the bearer of the header does. A key never refreshes anything. */
async function refresh(call: Call<z.output<typeof wire.refreshBody>>): Promise<Outcome> {
  const { authorization } = call.presented;
  if (call.body === null && authorization === null) throw new core.CoreError('credential_missing');
  const token = call.body ?? readBearer(authorization);
  if (token === null) throw new core.CoreError('session_invalid');
  const policy = { tokenSeconds: call.settings.tokenSeconds, graceSeconds: call.settings.refreshGraceSeconds };
  return { data: wire.loginView(await core.refreshSession(call.core, token, policy, call.caller)) };
}

async function logout({ core: cardea, context, caller }: SignedInCall<unknown>): Promise<Outcome> {
  await core.endOwnSession(cardea, context, caller);
  return { data: null, message: 'Session terminated.' };
}

/** The version of the contract, not of the product. */
async function showVersion(): Promise<Outcome> {
  return { data: { version: '2.6' } };
}

async function changePassword(call: SignedInCall<z.output<typeof wire.passwordChangeBody>>): Promise<Outcome> {
  const change = { ...call.body, keepSessions: call.settings.keepSessionsOnPasswordChange };
  await core.changePassword(call.core, call.context, change, call.caller);
  return { data: null, message: 'Password updated successfully.' };
}

async function generateKey({ core: cardea, context, id, caller }: SignedInCall<unknown>): Promise<Outcome> {
  return { data: await core.generateApiKey(cardea, context, id, caller) };
}

async function showKey(): Promise<Outcome> {
  throw new EcgridError('stored_key_asked');
}

async function showOwnUser({ context }: SignedInCall<unknown>): Promise<Outcome> {
  return { data: wire.userView(context.user) };
}

async function showUser({ core: cardea, context, id }: SignedInCall<unknown>): Promise<Outcome> {
  return { data: wire.userView(await core.getUser(cardea, context, id)) };
}

async function deleteUser({ core: cardea, context, id, caller }: SignedInCall<unknown>): Promise<Outcome> {
  await core.deleteUser(cardea, context, id, caller);
  return { data: true };
}

async function createUser(call: SignedInCall<z.output<typeof wire.createUserBody>>): Promise<Outcome> {
  const { networkId, mailboxId, ...facts } = call.body;
  const organizationId = networkId ?? call.context.user.organizationId;
  const place = { organizationId, mailboxId: mailboxId === 0 ? null : mailboxId };
  return { data: wire.userView(await core.createUser(call.core, call.context, { ...facts, place }, call.caller)) };
}

async function updateUser(call: SignedInCall<z.output<typeof wire.updateUserBody>>): Promise<Outcome> {
  const { userId, ...given } = call.body;
  return {
    data: wire.userView(await core.updateProfile(call.core, call.context, userId, present(given), call.caller)),
  };
}

async function listUsers({
  core: cardea,
  context,
  body,
}: SignedInCall<z.output<typeof wire.listUsersBody>>): Promise<Outcome> {
  const query = {
    ...(body.networkId !== 0 && { organizationId: body.networkId }),
    ...(body.mailboxId !== 0 && { mailboxId: body.mailboxId }),
    ...(body.authLevel !== 'NoChange' && { authLevel: body.authLevel }),
    ...(body.status !== undefined && { status: body.status }),
    page: body.pageNo,
    perPage: body.recordsPerPage,
  };
  return { data: (await core.listUsers(cardea, context, query)).map(wire.userView) };
}

async function findUser({
  core: cardea,
  context,
  body,
}: SignedInCall<z.output<typeof wire.byNameBody>>): Promise<Outcome> {
  const found = await core.listUsers(cardea, context, { login: body.login, page: 1, perPage: 1 });
  return { data: found.map(wire.userView) };
}

async function resetUser({ core: cardea, context, id, caller }: SignedInCall<unknown>): Promise<Outcome> {
  await core.resetUser(cardea, context, id, caller);
  return { data: true };
}

async function setPassword(call: SignedInCall<z.output<typeof wire.setPasswordBody>>): Promise<Outcome> {
  await core.setPassword(call.core, call.context, call.body.userId, call.body.newPassword, call.caller);
  return { data: true };
}

async function changeRole(call: SignedInCall<z.output<typeof wire.changeRoleBody>>): Promise<Outcome> {
  const { userId, authLevel } = call.body;
  const changes = { ...placeChanges(call.body), ...(authLevel !== 'NoChange' && { authLevel }) };
  return { data: wire.userView(await core.changeRole(call.core, call.context, userId, changes, call.caller)) };
}

async function moveUser(call: SignedInCall<z.output<typeof wire.moveUserBody>>): Promise<Outcome> {
  const user = await core.moveUser(call.core, call.context, call.body.userId, placeChanges(call.body), call.caller);
  return { data: wire.userView(user) };
}

function placeChanges(body: { networkId?: number | undefined; mailboxId?: number | undefined }): core.PlaceChanges {
  return {
    ...(body.networkId !== undefined && { organizationId: body.networkId }),
    ...(body.mailboxId !== undefined && { mailboxId: body.mailboxId === 0 ? null : body.mailboxId }),
  };
}

async function generatePassword(call: SignedInCall<z.output<typeof wire.generatePasswordBody>>): Promise<Outcome> {
  const shortest = Math.max(12, call.core.policy.passwordMinLength);
  const length = call.body.length ?? shortest;
  if (length < shortest || length > 128) {
    throw new core.CoreError('input_invalid', { field: 'length', reason: `must be from ${shortest} to 128` });
  }
  return { data: core.generatePassword(length) };
}

/** Without the members that are absent: `undefined` is not "unchanged" to everybody. */
function present<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never;
}
