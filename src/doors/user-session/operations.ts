import * as core from '../../core/index.ts';
import { after, type Soon } from '../../soon.ts';
import { drainBody, readBody, requireJsonType } from '../../http/body.ts';
import { parseJsonObject } from '../../http/json.ts';
import { remember } from '../../http/remember.ts';
import { endedCookie, type Presented, readCookie, requireContext, sessionCookie } from './credentials.ts';
import { UserSessionError } from './errors.ts';
import { type LoginBody, readAccountChoice, readLoginBody, userSessionView } from './wire.ts';

/** The settings of this door, section 12 of the contract. */
export type UserSessionSettings = {
  readonly idleSeconds: number;
  readonly cookieMode: boolean;
  /** Origins that may read answers and, beside the public one, sign in and out by cookie. */
  readonly corsOrigins: readonly string[];
  /** Where clients reach this server. */
  readonly ownOrigins: () => readonly string[];
};

export type Call = {
  readonly core: core.Core;
  readonly settings: UserSessionSettings;
  readonly caller: core.CallerFacts;
  readonly request: Request;
  /** What the request presents; login never adopts it. */
  readonly found: Presented;
};

export type Outcome = { readonly body: unknown; readonly cookie?: string };

export type Operation = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** `public`: credentials on the request are not judged. */
  readonly access: 'public' | 'signed_in' | 'signed_in_step_due';
  readonly run: (call: Call) => Soon<Outcome>;
};

/** Section 6 of the contract: every operation, and who may call it. */
export const operations: readonly Operation[] = [
  { method: 'GET', path: '/auth/session', access: 'signed_in', run: showSession },
  { method: 'POST', path: '/auth/login', access: 'public', run: login },
  { method: 'POST', path: '/auth/logout', access: 'signed_in_step_due', run: logout },
];

const bodyLimit = 16_384;

function showSession({ core: cardea, caller, request, found }: Call): Soon<Outcome> {
  return after(drainBody(request, bodyLimit), () =>
    after(requireContext(cardea, found, caller), (context) => {
      if (context.stepDue) throw new core.CoreError('step_due');
      const accountId = readAccountChoice(request.headers.get('x-account-id'), context);
      const token = found.credential?.kind === 'bearer' ? found.credential.token : '';
      if (accountId !== undefined) return { body: userSessionView(context, token, accountId) };
      return describeSession(context)(token);
    }),
  );
}

/** A context is of one credential, so that one token is told with it. */
const describeSession = remember((context: core.SessionContext) => {
  let told: { readonly token: string; readonly outcome: Outcome } | undefined;
  return (token: string): Outcome => {
    if (told?.token !== token) told = { token, outcome: { body: userSessionView(context, token, undefined) } };
    return told.outcome;
  };
});

async function login(call: Call): Promise<Outcome> {
  const body = await takeLoginBody(call.request);
  if (body.cookie && !call.settings.cookieMode) throw new UserSessionError('cookie_mode_off');
  if (body.cookie) requireOwnSite(call);
  const opened = await openSession(call, body);
  const view = userSessionView(opened.context, body.cookie ? '' : opened.credential, undefined);
  if (!body.cookie) return { body: view };
  const maxAge = opened.credentialExpiresAt - core.nowSeconds(call.core);
  return { body: view, cookie: sessionCookie(opened.credential, maxAge) };
}

async function takeLoginBody(request: Request): Promise<LoginBody> {
  const bytes = await readBody(request, bodyLimit);
  requireJsonType(request);
  return readLoginBody(parseJsonObject(bytes));
}

async function openSession(call: Call, body: LoginBody): Promise<core.OpenedSession> {
  const { core: cardea, caller, settings } = call;
  const policy = {
    entry: 'user-session',
    idleSeconds: settings.idleSeconds,
    // No refresh in this contract: the token must last as long as the session may.
    tokenSeconds: null,
    form: body.cookie ? ('cookie' as const) : ('token' as const),
  };
  const replaced = body.cookie ? await findReplacedSession(call) : undefined;
  const common = { policy, caller, ...(replaced !== undefined && { replaces: replaced }) };
  if (body.kind === 'key') {
    return core.loginWithKey(cardea, { ...common, keyName: body.apiKey, keySecret: body.apiSecret });
  }
  return core.login(cardea, { ...common, name: body.email, password: body.password, matching: 'either' });
}

/** A live cookie that came along with a cookie login: its session ends with it. */
async function findReplacedSession({
  core: cardea,
  request,
}: Call): Promise<{ sessionId: string; userId: number } | undefined> {
  const { credential } = readCookie(request);
  if (credential === null) return undefined;
  try {
    const { session, user } = await core.authenticate(cardea, credential);
    return session === null ? undefined : { sessionId: session.id, userId: user.id };
  } catch (error) {
    if (error instanceof core.CoreError && error.code === 'session_invalid') return undefined;
    throw error;
  }
}

async function logout(call: Call): Promise<Outcome> {
  await drainBody(call.request, bodyLimit);
  if (call.found.byCookie) requireOwnSite(call);
  const context = await requireContext(call.core, call.found, call.caller);
  await core.endOwnSession(call.core, context, call.caller);
  return { body: { success: true }, ...(call.found.byCookie && { cookie: endedCookie }) };
}

/**
 * The check against requests that another site makes in the user's browser: the browser's own word, else an exact origin, else no.
 * Never the Host header, which proves nothing.
 */
function requireOwnSite({ request, settings }: Call): void {
  const site = request.headers.get('sec-fetch-site');
  if (site === 'same-origin' || site === 'none') return;
  const origin = request.headers.get('origin');
  const known = origin !== null && [...settings.ownOrigins(), ...settings.corsOrigins].includes(origin);
  if (!known) throw new UserSessionError('foreign_site');
}
