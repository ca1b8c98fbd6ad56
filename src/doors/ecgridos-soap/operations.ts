import * as core from '../../core/index.ts';
import { remember } from '../../http/remember.ts';
import type { Soon } from '../../soon.ts';
import { SoapFault } from './faults.ts';
import { type Given, type Parameter, readNumber, readSessionId, readText, requireText } from './parameters.ts';
import { loggedSession, sessionIdInfo, type TypeName, toInstant, userIdInfo, type Value } from './wire.ts';

/** The settings of this door, section 12 of the contract. */
export type EcgridosSettings = {
  readonly idleSeconds: number;
  /** Where clients reach this server; empty for the host they name, if it is a listed one. */
  readonly publicUrl: string;
  /** Host names that may be printed; empty for the loopback names and the address that the server listens on. */
  readonly allowedHosts: readonly string[];
  readonly listenHost: string;
  /** Which operations the form binding offers on GET. */
  readonly httpGet: 'read' | 'open' | 'off';
  readonly helpPages: boolean;
  readonly keepSessionsOnPasswordChange: boolean;
};

export type Call = {
  readonly core: core.Core;
  readonly settings: EcgridosSettings;
  readonly caller: core.CallerFacts;
  readonly given: Given;
};

/** A call by somebody: the presented text and whom it stands for. */
export type SignedInCall = Call & { readonly sessionId: string; readonly context: core.SessionContext };

type Shared = {
  readonly name: string;
  /** One line for the help pages. */
  readonly meaning: string;
  readonly parameters: readonly Parameter[];
  readonly result: TypeName;
  /** Changes nothing, so the form binding may offer it on GET: `open` ones need no credential. */
  readonly formGet: 'open' | 'read' | 'never';
};

/** One operation, and who may call it. */
export type Operation = Shared &
  (
    | { readonly access: 'public'; readonly run: (call: Call) => Soon<Value> }
    | { readonly access: 'signed_in' | 'signed_in_step_due'; readonly run: (call: SignedInCall) => Soon<Value> }
  );

const sessionId: Parameter = { name: 'SessionID', type: 'string' };
const userId = { name: 'UserID', type: 'int' } as const;
const maxRecords = { name: 'MaxRecords', type: 'short' } as const;
const userName: Parameter = { name: 'UserName', type: 'string', aliases: ['LoginName', 'Email', 'Login'] };
const password: Parameter = { name: 'Password', type: 'string' };
const oldPassword: Parameter = { name: 'OldPassword', type: 'string' };
const newPassword: Parameter = { name: 'NewPassword', type: 'string' };
const senders = ['SenderSolution', 'SenderVersion', 'SenderCompanyName', 'SenderContact', 'SenderContactEmail'].map(
  (name): Parameter => ({ name, type: 'string' }),
);

const longestName = 256;
const longestPasswordBytes = 1024;
const longestLog = 100;
const countBytes = (text: string) => Buffer.byteLength(text);

/** Section 5 of the contract, in the order of the WSDL, which is rendered from these rows. */
export const operations: readonly Operation[] = [
  {
    name: 'Login',
    meaning: 'Opens a session; the result is its SessionID.',
    access: 'public',
    parameters: [userName, password, ...senders],
    result: 'string',
    formGet: 'never',
    run: login,
  },
  {
    name: 'Logout',
    meaning: 'Ends the session: true when it was live, false otherwise.',
    // Whatever is presented, the answer is true or false and never a refusal: the operation judges by itself.
    access: 'public',
    parameters: [sessionId],
    result: 'boolean',
    formGet: 'never',
    run: logout,
  },
  {
    name: 'SessionInfo',
    meaning: 'Whose session it is, when it was opened and when it expires.',
    access: 'signed_in',
    parameters: [sessionId],
    result: 'SessionIDInfo',
    formGet: 'read',
    run: (call) => describeSession(call.context)(call.sessionId),
  },
  {
    name: 'WhoAmI',
    meaning: 'The user behind the session.',
    access: 'signed_in',
    parameters: [sessionId],
    result: 'UserIDInfo',
    formGet: 'read',
    run: async ({ context }) => userIdInfo(context.user),
  },
  {
    name: 'SessionLog',
    meaning: 'Sessions of a user, newest first; their ids are masked.',
    access: 'signed_in',
    parameters: [sessionId, userId, maxRecords],
    result: 'ArrayOfSessionIDInfo',
    formGet: 'read',
    run: listSessions,
  },
  {
    name: 'Version',
    meaning: 'The version of this contract.',
    access: 'public',
    parameters: [],
    result: 'string',
    formGet: 'open',
    run: async () => '4.1',
  },
  {
    name: 'NowUTC',
    meaning: "The server's time.",
    access: 'public',
    parameters: [],
    result: 'dateTime',
    formGet: 'open',
    run: async (call) => toInstant(core.nowSeconds(call.core)),
  },
  {
    name: 'GenerateAPIKey',
    meaning: 'A new API key, shown this once; the old one is dead.',
    access: 'signed_in',
    parameters: [sessionId, userId],
    result: 'string',
    formGet: 'never',
    run: generateKey,
  },
  {
    name: 'UserGetAPIKey',
    meaning: 'Always refused: keys are stored as digests.',
    access: 'signed_in',
    parameters: [sessionId, userId],
    result: 'string',
    formGet: 'never',
    run: showKey,
  },
  {
    name: 'UserReset',
    meaning: "Ends all of a user's sessions and lifts the lock of too many wrong passwords.",
    access: 'signed_in',
    parameters: [sessionId, userId],
    result: 'boolean',
    formGet: 'never',
    run: resetUser,
  },
  {
    name: 'ChangePassword',
    meaning: "Changes the caller's password and ends the other sessions.",
    access: 'signed_in_step_due',
    parameters: [sessionId, oldPassword, newPassword],
    result: 'boolean',
    formGet: 'never',
    run: changePassword,
  },
];

/**
 * Whom a SessionID stands for: a session of this contract, or the owner of an API key sent in its place.
 * @throws CoreError `session_invalid`, `api_key_invalid`, `throttled`
 */
export function requireContext(cardea: core.Core, caller: core.CallerFacts, text: string): Soon<core.SessionContext> {
  const judge = () =>
    core.authenticateEither(cardea, { kind: 'session_guid', secret: text }, { kind: 'api_key', key: text });
  return core.withinLimits(cardea, caller, judge);
}

/** A credential has few spellings (letter case), of which a client sends one. */
const describeSession = remember((context: core.SessionContext) => {
  let told: { readonly sessionId: string; readonly value: Value } | undefined;
  return (sessionId: string): Value => {
    if (told?.sessionId !== sessionId) told = { sessionId, value: sessionIdInfo(context, sessionId) };
    return told.value;
  };
});

async function login({ core: cardea, settings, caller, given }: Call): Promise<Value> {
  const name = requireText(given, userName, longestName);
  const secret = requireText(given, password, longestPasswordBytes, countBytes);
  const sender = senders.flatMap((parameter) => {
    const text = readText(given, parameter, longestName) ?? '';
    return text === '' ? [] : [[parameter.name, text] as const];
  });
  const opened = await core.login(cardea, {
    name,
    password: secret,
    matching: 'login_first',
    policy: { entry: 'ecgridos-soap', idleSeconds: settings.idleSeconds, tokenSeconds: null, form: 'session_guid' },
    caller,
    sender: Object.fromEntries(sender),
  });
  return opened.credential;
}

async function logout({ core: cardea, caller, given }: Call): Promise<Value> {
  try {
    const context = await requireContext(cardea, caller, readSessionId(given));
    await core.endOwnSession(cardea, context, caller);
    return 'true';
  } catch (error) {
    const unknown = error instanceof core.CoreError && ['session_invalid', 'api_key_invalid'].includes(error.code);
    if (unknown || (error instanceof SoapFault && error.id === 'F1')) return 'false';
    throw error;
  }
}

async function listSessions(call: SignedInCall): Promise<Value> {
  const target = readTarget(call);
  const wanted = readNumber(call.given, maxRecords) ?? 0;
  if (wanted < 0) throw new SoapFault('F6', { item: maxRecords.name, message: 'A number from 0 on is expected.' });
  const limit = wanted === 0 ? longestLog : Math.min(wanted, longestLog);
  const { user, sessions } = await core.listSessionsOf(call.core, call.context, target, limit);
  const mask = (id: string) => core.maskSession(call.core, id).toUpperCase();
  return { SessionIDInfo: sessions.map((session) => loggedSession(session, user, mask(session.id))) };
}

async function generateKey(call: SignedInCall): Promise<Value> {
  const key = await core.generateApiKey(call.core, call.context, readTarget(call), call.caller);
  return key.toUpperCase();
}

async function showKey(call: SignedInCall): Promise<Value> {
  readTarget(call);
  const message = 'AccessDenied: API keys are stored as digests and cannot be shown. Generate a new key.';
  throw new SoapFault('F4', { message });
}

async function resetUser(call: SignedInCall): Promise<Value> {
  await core.resetUser(call.core, call.context, readTarget(call), call.caller);
  return 'true';
}

async function changePassword({ core: cardea, settings, context, given, caller }: SignedInCall): Promise<Value> {
  const currentPassword = requireText(given, oldPassword, longestPasswordBytes, countBytes);
  const wanted = requireText(given, newPassword, longestPasswordBytes, countBytes);
  const { keepSessionsOnPasswordChange: keepSessions } = settings;
  await core.changePassword(cardea, context, { currentPassword, newPassword: wanted, keepSessions }, caller);
  return 'true';
}

/** `UserID`, where 0 and absent mean the caller. */
function readTarget({ given, context }: SignedInCall): number {
  const target = readNumber(given, userId) ?? 0;
  return target === 0 ? context.user.id : target;
}
