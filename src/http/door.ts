import type { Caller } from './caller.ts';
import type { Fault, FaultDetail } from './faults.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS';

/** One request on its way through the server: everything about it that was worked out once. */
export type Exchange = {
  readonly request: Request;
  /** Path of the target as the runtime folded it, still percent-encoded, without the query. */
  readonly path: string;
  /** Raw query of the target, without the question mark, still percent-encoded; `''` for none. */
  readonly query: string;
  /** Raw text of each `{name}` segment, still percent-encoded; the door judges it by a strict pattern. */
  readonly params: Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly caller: Caller;
};

/** A path such as `/v2/users/{id}`; literal paths win over paths with parameters. */
export type Route = {
  readonly method: Method;
  readonly path: string;
  readonly answer: (exchange: Exchange) => Response | Promise<Response>;
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
  readonly answerFault: (fault: Fault, exchange: Exchange, detail: FaultDetail) => Response;
};
