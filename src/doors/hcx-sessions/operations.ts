import * as core from '../../core/index.ts';
import { remember } from '../../http/remember.ts';
import { after, type Soon } from '../../soon.ts';
import { type Presented, requireContext } from './credentials.ts';
import { HcxError } from './errors.ts';
import { type Installation, readLoginBody, writeHybridityData, writeSessionData } from './wire.ts';

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
  readonly presented: Presented;
  /** The members of the body; empty where an operation reads none. */
  readonly body: Readonly<Record<string, unknown>>;
};

export type Outcome = {
  /** Writes `data` as JSON with the id of the request in it; absent on DELETE. */
  readonly writeData?: (transactionId: string) => string;
  /** The new token, for its header. */
  readonly token?: string;
};

export type Operation = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** `public`: no credential on the request is judged. */
  readonly access: 'public' | 'signed_in' | 'signed_in_step_due';
  readonly readsBody: boolean;
  readonly run: (call: Call) => Soon<Outcome>;
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

function showSession({ core: cardea, presented, caller, settings }: Call): Soon<Outcome> {
  return after(requireContext(cardea, presented, caller, { basic: true }), (context) => {
    if (context.stepDue) throw new core.CoreError('step_due');
    return describeSession(cardea, settings.installation, context);
  });
}

function describeSession(cardea: core.Core, installation: Installation, context: core.SessionContext): Soon<Outcome> {
  return after(core.describe(cardea, context), (described) => writingOf(installation)(described));
}

const writingOf = remember((installation: Installation) =>
  remember((context: core.DescribedContext): Outcome => ({ writeData: writeSessionData(context, installation) })),
);

async function openAdminSession(call: Call): Promise<Outcome> {
  const opened = await openSession(call, call.settings.idleSeconds);
  const described = await describeSession(call.core, call.settings.installation, opened.context);
  return { ...described, token: opened.credential };
}

async function openHybriditySession(call: Call): Promise<Outcome> {
  const opened = await openSession(call, call.settings.hybridityIdleSeconds);
  const context = await core.describe(call.core, opened.context);
  return { writeData: writeHybridityData(context, call.settings.installation), token: opened.credential };
}

function openSession({ core: cardea, caller, body }: Call, idleSeconds: number): Promise<core.OpenedSession> {
  const { username: name, password } = readLoginBody(body);
  const policy = { entry: 'hcx-sessions', idleSeconds, tokenSeconds: null, form: 'appliance_token' } as const;
  // Without an @ the text is a login name only; with one, a login name or an e-mail, and two users are a wrong login.
  return core.login(cardea, { name, password, matching: 'either', policy, caller });
}

/** A password opens no session, so Basic has none to end: it is refused without being looked at. */
async function endSession({ core: cardea, presented, caller }: Call): Promise<Outcome> {
  try {
    const context = await requireContext(cardea, presented, caller, { basic: false });
    await core.endOwnSession(cardea, context, caller);
    return {};
  } catch (error) {
    const codes = ['credential_missing', 'session_invalid', 'credentials_differ'];
    if (error instanceof core.CoreError && codes.includes(error.code)) throw new HcxError('no_active_session');
    throw error;
  }
}
