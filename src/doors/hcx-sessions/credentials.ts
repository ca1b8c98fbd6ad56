import {
  authenticate,
  type CallerFacts,
  type Core,
  CoreError,
  checkPassword,
  type SessionContext,
  withinLimits,
} from '../../core/index.ts';
import { after, type Soon } from '../../soon.ts';

/** The credential headers of a request; `token` is empty where the contract's own one is missing. */
export type Presented = { readonly authorization: string | null; readonly token: string };

type Judge = () => Soon<SessionContext>;

/**
 * Whom the request's credentials stand for, by the table of the contract, 5.2: a token of this contract, bare or in its own header, a
 * JWT of another door, or a password by Basic. With two credentials both must be good and of one user; that of the token's header counts.
 * @throws CoreError `credential_missing`, `session_invalid`, `credentials_differ`, `throttled`, `step_due`
 */
export function requireContext(
  core: Core,
  { authorization, token }: Presented,
  caller: CallerFacts,
  options: { readonly basic: boolean },
): Soon<SessionContext> {
  return withinLimits(core, caller, () => {
    if (authorization === null) return judgeToken(core, token);
    const judgeOther = readAuthorization(core, authorization, caller, options);
    if (token === '') return judgeOther();
    return after(authenticateToken(core, token), (byToken) =>
      after(judgeOther(), (byOther) => {
        if (byToken.user.id !== byOther.user.id) throw new CoreError('credentials_differ');
        return byToken;
      }),
    );
  });
}

function judgeToken(core: Core, token: string): Soon<SessionContext> {
  if (token === '') throw new CoreError('credential_missing');
  return authenticateToken(core, token);
}

function authenticateToken(core: Core, text: string): Soon<SessionContext> {
  return authenticate(core, { kind: 'appliance_token', secret: text });
}

function readAuthorization(
  core: Core,
  authorization: string,
  caller: CallerFacts,
  options: { readonly basic: boolean },
): Judge {
  const bearer = authorization.match(/^bearer ([^\s]+)$/i)?.[1];
  if (bearer !== undefined) return () => authenticate(core, { kind: 'bearer', token: bearer });
  const basic = authorization.match(/^basic ([A-Za-z0-9+/=]+)$/i)?.[1];
  if (basic === undefined) return () => authenticateToken(core, authorization);
  const pair = options.basic ? readBasic(basic) : null;
  if (pair === null) return () => Promise.reject(new CoreError('session_invalid'));
  return () => authenticatePassword(core, pair, caller);
}

/** RFC 7617: UTF-8, split at the first colon. */
function readBasic(encoded: string): { name: string; password: string } | null {
  const bytes = Buffer.from(encoded, 'base64');
  const text = decodeStrictly(bytes);
  const colon = text?.indexOf(':') ?? -1;
  if (text === null || colon < 1 || text.length > 2048) return null;
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function decodeStrictly(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** A refused Basic is told like any other bad credential of a check, not like a wrong login. */
async function authenticatePassword(
  core: Core,
  { name, password }: { name: string; password: string },
  caller: CallerFacts,
): Promise<SessionContext> {
  try {
    return await checkPassword(core, { name, password, matching: 'either', caller });
  } catch (error) {
    const refused = error instanceof CoreError && ['login_refused', 'input_invalid'].includes(error.code);
    throw refused ? new CoreError('session_invalid') : error;
  }
}
