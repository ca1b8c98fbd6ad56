import type { Soon } from '../soon.ts';
import type { Caller } from './caller.ts';
import type { Fault, FaultDetail } from './faults.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS';

/** One request on its way through the server; what few requests need is worked out when it is asked for. */
export class Exchange {
  readonly request: Request;
  /** Path of the target as the runtime folded it, still percent-encoded, without the query. */
  readonly path: string;
  /** Raw text of each `{name}` segment, still percent-encoded; the door judges it by a strict pattern. */
  readonly params: Readonly<Record<string, string>>;
  readonly caller: Caller;

  constructor(request: Request, path: string, params: Readonly<Record<string, string>>, caller: Caller) {
    this.request = request;
    this.path = path;
    this.params = params;
    this.caller = caller;
  }

  get requestId(): string {
    return this.caller.requestId;
  }

  /** Raw query of the target, without the question mark, still percent-encoded; `''` for none. */
  get query(): string {
    return splitTarget(this.request.url).query;
  }
}

/**
 * Path and query of a request's address, without fragment. The authority is skipped, never used: it is the client's
 * Host, and with a malformed one the runtime gives the bare target, on which `new URL` throws (TH3).
 */
export function splitTarget(url: string): { path: string; query: string } {
  // The search starts behind `https://` or in the name after `http://`, which has at least one character.
  const start = url.startsWith('/') ? 0 : url.indexOf('/', 8);
  // CONNECT may send `name:port`, which has no path.
  if (start === -1) return { path: '', query: '' };
  const fragment = url.indexOf('#', start);
  const target = fragment === -1 ? url.slice(start) : url.slice(start, fragment);
  const mark = target.indexOf('?');
  return mark === -1 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** A path such as `/v2/users/{id}`; literal paths win over paths with parameters. */
export type Route = {
  readonly method: Method;
  readonly path: string;
  /** False: an answer that is waited for keeps the caller's address by itself where it needs it; asking for it is a system call. */
  readonly holdsCaller?: false;
  readonly answer: (exchange: Exchange) => Soon<Response>;
};

/**
 * One published wire contract: its routes, and its answer to whatever fails outside an operation.
 * `HEAD` follows from `GET` by itself.
 */
export type Door = {
  readonly name: string;
  /** This contract's paths are matched without regard to letter case; they have no parameters. */
  readonly ignoresCase?: boolean;
  /** Path prefixes below which unknown paths get this door's own 404, e.g. `/v2/`. */
  readonly owns: readonly string[];
  readonly routes: readonly Route[];
  /** Names a request; by default the incoming `X-Request-Id` where it is harmless, else an id of ours. */
  readonly nameRequest?: (request: Request) => string;
  readonly answerFault: (fault: Fault, exchange: Exchange, detail: FaultDetail) => Response;
};
