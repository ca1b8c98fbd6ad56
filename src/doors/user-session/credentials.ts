import {
  authenticate,
  type CallerFacts,
  type Core,
  CoreError,
  type Credential,
  type SessionContext,
  withinLimits,
} from '../../core/index.ts';
import type { Soon } from '../../soon.ts';

const cookieName = '__Host-cardea';
const cookieAttributes = 'Path=/; Secure; HttpOnly; SameSite=Lax';
const longestToken = 4096;

/** What a request presents: `presented` tells a refused credential from none, for the challenge of the 401. */
export type Presented = {
  readonly credential: Credential | null;
  readonly presented: boolean;
  readonly byCookie: boolean;
};

/** Which credential counts, by the contract's 5.2: `Authorization` alone decides where it is present. */
export function readCredential(request: Request, cookieMode: boolean): Presented {
  const authorization = request.headers.get('authorization');
  if (authorization !== null) return readBearer(authorization);
  return cookieMode ? readCookie(request) : { credential: null, presented: false, byCookie: false };
}

/** The session cookie, if exactly one came. */
export function readCookie(request: Request): Presented {
  const pairs = (request.headers.get('cookie') ?? '').split(/; ?/);
  const secrets = pairs
    .filter((pair) => pair.startsWith(`${cookieName}=`))
    .map((pair) => pair.slice(cookieName.length + 1));
  const [secret, ...others] = secrets;
  const single = secret !== undefined && others.length === 0;
  const credential: Credential | null = single ? { kind: 'cookie', secret } : null;
  return { credential, presented: false, byCookie: secrets.length > 0 };
}

/** Signed-out browsers send `Bearer null` at every start: that is no credential, and costs nothing. */
function readBearer(authorization: string): Presented {
  const none = { credential: null, presented: false, byCookie: false };
  if (/^bearer( +(null|undefined)?)?$/i.test(authorization)) return none;
  const token = authorization.match(/^bearer (\S+)$/i)?.[1];
  if (token === undefined || token.length > longestToken) return { ...none, presented: true };
  return { credential: { kind: 'bearer', token }, presented: true, byCookie: false };
}

/** @throws CoreError `session_invalid` (something was presented and refused), `credential_missing`, `throttled` */
export function requireContext(core: Core, found: Presented, caller: CallerFacts): Soon<SessionContext> {
  return withinLimits(core, caller, () => {
    if (found.credential !== null) return authenticate(core, found.credential);
    throw new CoreError(found.presented ? 'session_invalid' : 'credential_missing');
  });
}

/** `Set-Cookie` of a new cookie session. */
export function sessionCookie(secret: string, maxAgeSeconds: number): string {
  return `${cookieName}=${secret}; ${cookieAttributes}; Max-Age=${maxAgeSeconds}`;
}

/** `Set-Cookie` that takes the cookie away. */
export const endedCookie = `${cookieName}=; ${cookieAttributes}; Max-Age=0`;
