import * as core from '../../core/index.ts';
import { requireContext } from './credentials.ts';
import { HcxError } from './errors.ts';
import { hybridityData, type Installation, readLoginBody, sessionData } from './wire.ts';

/** The settings of this door, section 12 of the contract. Durations in seconds. */
export type HcxSettings = {
  readonly idleSeconds: number;
  readonly hybridityIdleSeconds: number;
  readonly installation: Installation;
  /** Which of the contract's paths the listener serves. */
  readonly servesAdmin: boolean;
  readonly servesHybridity: boolean;
};

export type Call = {
  readonly core: core.Core;
  readonly settings: HcxSettings;
  readonly caller: core.CallerFacts;
  readonly request: Request;
  /** The members of the body; empty where an operation reads none. */
  readonly body: Readonly<Record<string, unknown>>;
  /** UUID of this request, told in header, body and log. */
  readonly transactionId: string;
};

export type Outcome = {
  /** Absent on DELETE. */
  readonly data?: unknown;
  /** The new token, for its header. */
  readonly token?: string;
};

export type Operation = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** `public`: no credential on the request is judged. */
  readonly access: 'public' | 'signed_in' | 'signed_in_step_due';
  readonly readsBody: boolean;
  readonly run: (call: Call) => Promise<Outcome>;
};

const adminPath = '/api/admin/v1/sessions';

/** The appliance's own path. */
export const adminOperations: readonly Operation[] = [
  { method: 'GET', path: adminPath, access: 'signed_in', readsBody: false, run: showSession },
  { method: 'POST', path: adminPath, access: 'public', readsBody: true, run: openAdminSession },
  { method: 'DELETE', path: adminPath, access: 'signed_in_step_due', readsBody: false, run: endSession },
];

/** The login of the web port; the second path is that of older pages. */
export const hybridityOperations: readonly Operation[] = ['/hybridity/api/sessions', '/hybridity/api/session'].map(
  (path) => ({ method: 'POST', path, access: 'public', readsBody: true, run: openHybriditySession }),
);

async function showSession(call: Call): Promise<Outcome> {
  const context = await requireContext(call.core, call.request, call.caller, { basic: true });
  if (context.stepDue) throw new core.CoreError('step_due');
  return { data: sessionData(context, call.transactionId, call.settings.installation) };
}

async function openAdminSession(call: Call): Promise<Outcome> {
  const opened = await openSession(call, call.settings.idleSeconds);
  const data = sessionData(opened.context, call.transactionId, call.settings.installation);
  return { data, token: opened.credential };
}

async function openHybriditySession(call: Call): Promise<Outcome> {
  const opened = await openSession(call, call.settings.hybridityIdleSeconds);
  const data = hybridityData(opened.context, call.transactionId, call.settings.installation);
  return { data, token: opened.credential };
}

function openSession({ core: cardea, caller, body }: Call, idleSeconds: number): Promise<core.OpenedSession> {
  const { username: name, password } = readLoginBody(body);
  const policy = { entry: 'hcx-sessions', idleSeconds, tokenSeconds: null, form: 'appliance_token' } as const;
  // Without an @ the text is a login name only; with one, a login name or an e-mail, and two users are a wrong login.
  return core.login(cardea, { name, password, matching: 'either', policy, caller });
}

/** A password opens no session, so Basic has none to end: it is refused without being looked at. */
async function endSession({ core: cardea, request, caller }: Call): Promise<Outcome> {
  try {
    const context = await requireContext(cardea, request, caller, { basic: false });
    await core.endOwnSession(cardea, context, caller);
    return {};
  } catch (error) {
    const codes = ['credential_missing', 'session_invalid', 'credentials_differ'];
    if (error instanceof core.CoreError && codes.includes(error.code)) throw new HcxError('no_active_session');
    throw error;
  }
}
