import { randomUUID } from 'node:crypto';
import type { Expectation, Target } from '../target.ts';
import { writeRequest } from '../target.ts';
import { logins, soapEnvelope, soapHeaders, soapPath } from './logins.ts';
import type { Cardea } from './server.ts';
import type { BenchUser } from './users.ts';

/** Users of the warm calls; each connection goes through all of them. */
export const warmUsers = 16;
/** Enough distinct unknown keys to show in the memory if one of them stays there. */
const unknownKeys = 100_000;
/** More sessions than any memory of checks holds; at most, since a load generator keeps the requests in its own. */
const coldWalk = 200_000;

const restPath = '/v2/auth/session';

/** A REST check by bearer token. */
export function restByBearer(token: string): string {
  return writeRequest('POST', restPath, { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' });
}

/** A REST check by API key. */
export function restByKey(key: string): string {
  return writeRequest('POST', restPath, { 'X-API-Key': key, 'Content-Type': 'application/json' });
}

type Maker = (cardea: Cardea, refusedPercent: number) => Promise<Omit<Target, 'name' | 'kind' | 'server'>>;

/** Every call of Cardea that can be measured, by the name that the command line uses. */
const makers = {
  'rest-key': async ({ users }) => ({
    title: 'REST, API key',
    requests: warm(users).map(({ key }) => restByKey(key)),
    accepted: accepted('"login":"bench'),
    neighbour: 'nginx-rest',
  }),
  'rest-bearer': async (cardea) => ({
    title: 'REST, bearer',
    requests: (await signIn(cardea, 'rest')).map(restByBearer),
    accepted: accepted('"login":"bench'),
    neighbour: 'nginx-rest',
  }),
  'rest-unknown': async () => ({
    title: 'REST, unknown API key (refused)',
    requests: Array.from({ length: unknownKeys }, () => restByKey(randomUUID())),
    accepted: refused,
    neighbour: 'nginx-rest',
  }),
  'rest-revoked': async (cardea) => ({
    title: 'REST, revoked bearer (refused)',
    requests: (await signInAndOut(cardea)).map(restByBearer),
    accepted: refused,
    neighbour: 'nginx-rest',
  }),
  web: async (cardea) => ({
    title: 'Web GET /auth/session',
    requests: (await signIn(cardea, 'web')).map((token) =>
      writeRequest('GET', '/auth/session', { Authorization: `Bearer ${token}`, Accept: 'application/json' }),
    ),
    accepted: accepted('"email":"bench'),
    neighbour: 'nginx-web',
  }),
  hcx: async (cardea) => ({
    title: 'HCX GET /api/admin/v1/sessions',
    requests: (await signIn(cardea, 'hcx')).map((token) =>
      writeRequest('GET', '/api/admin/v1/sessions', { 'x-hm-authorization': token, Accept: 'application/json' }),
    ),
    accepted: accepted('"username":"bench'),
    neighbour: 'nginx-hcx',
  }),
  soap: async (cardea) => ({
    title: 'SOAP SessionInfo',
    requests: (await signIn(cardea, 'soap')).map((id) => {
      const envelope = soapEnvelope('SessionInfo', `<SessionID>${id}</SessionID>`);
      return writeRequest('POST', soapPath, soapHeaders('SessionInfo'), envelope);
    }),
    accepted: accepted('<UserID>10'),
    neighbour: 'nginx-soap',
  }),
  'rest-cold': async ({ stored }) => ({
    title: `REST, bearer, cold (${Math.min(coldWalk, stored.count).toLocaleString('en')} walked)`,
    requests: walk(stored.count).map((index) => restByBearer(stored.token(index))),
    accepted: accepted('"login":"stored'),
    neighbour: 'nginx-rest',
  }),
  'rest-mixed': async (cardea, refusedPercent) => {
    const tokens = await signIn(cardea, 'rest');
    const unknown = new Set<string>();
    const requests = Array.from({ length: 10_000 }, (_, index) => {
      const token = tokens[index % tokens.length] ?? '';
      // Spread evenly: the n-th request is refused when the share, summed up so far, passes a whole number.
      if (Math.floor(((index + 1) * refusedPercent) / 100) === Math.floor((index * refusedPercent) / 100)) {
        return restByBearer(token);
      }
      const request = restByKey(randomUUID());
      unknown.add(request);
      return request;
    });
    return {
      title: `REST, bearer, ${refusedPercent} % refused`,
      requests,
      accepted: accepted('"login":"bench'),
      refused: { answer: refused, share: refusedPercent / 100, isRefused: (request) => unknown.has(request) },
      neighbour: 'nginx-rest',
    };
  },
} as const satisfies Record<string, Maker>;

export type CardeaTarget = keyof typeof makers;
export const cardeaTargets = Object.keys(makers) as CardeaTarget[];

/** Measured unless the command line chooses; the others need an option of their own. */
export const usualTargets: readonly CardeaTarget[] = [
  'rest-key',
  'rest-bearer',
  'rest-unknown',
  'rest-revoked',
  'web',
  'hcx',
  'soap',
];

/** Signs in what the targets need and writes their requests. */
export async function makeCardeaTargets(
  cardea: Cardea,
  names: readonly CardeaTarget[],
  refusedPercent: number,
): Promise<Target[]> {
  const targets: Target[] = [];
  for (const name of names) {
    targets.push({ name, kind: 'cardea', server: cardea.server, ...(await makers[name](cardea, refusedPercent)) });
  }
  return targets;
}

function accepted(contains: string): Expectation {
  return { status: 200, contains };
}

const refused: Expectation = { status: 401, contains: '"success":false' };

function warm(users: readonly BenchUser[]): readonly BenchUser[] {
  return users.slice(0, warmUsers);
}

async function signIn({ url, users }: Cardea, door: keyof typeof logins): Promise<string[]> {
  const credentials: string[] = [];
  for (const user of warm(users)) credentials.push(await logins[door](url, user));
  return credentials;
}

async function signInAndOut(cardea: Cardea): Promise<string[]> {
  const tokens = await signIn(cardea, 'rest');
  for (const token of tokens) {
    const headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(`${cardea.url}/v2/auth/logout`, { method: 'POST', headers });
    if (!answer.ok) throw new Error(`a logout was answered ${answer.status}`);
  }
  return tokens;
}

/** Places all over the store in an order without any, each once. */
function walk(count: number): number[] {
  const length = Math.min(coldWalk, count);
  const places = Array.from({ length }, (_, index) => Math.floor((index * count) / length));
  for (let left = places.length - 1; left > 0; left--) {
    const chosen = Math.floor(Math.random() * (left + 1));
    [places[left], places[chosen]] = [places[chosen] as number, places[left] as number];
  }
  return places;
}
