import type { Server } from './server.ts';

/** What an answer must be for a measurement to count. */
export type Expectation = { readonly status: number; readonly contains: string };

/** One call of one server that is measured: a row of the table. */
export type Target = {
  readonly name: string;
  readonly title: string;
  readonly kind: 'cardea' | 'neighbour' | 'peer';
  readonly server: Server;
  /** Complete HTTP requests, sent in turn; ASCII. */
  readonly requests: readonly string[];
  /** What each request must be answered: the same for all, or `refused` for those that the predicate picks out. */
  readonly accepted: Expectation;
  readonly refused?: {
    readonly answer: Expectation;
    readonly share: number;
    readonly isRefused: (request: string) => boolean;
  };
  /** Name of the target with the same body to which this one's CPU is compared. */
  readonly neighbour?: string;
};

/** Writes a request as it goes over the wire. The length is always given, as clients of these contracts do. */
export function writeRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body = '',
): string {
  const length = method === 'GET' ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
  const lines = Object.entries({ Host: 'localhost', ...headers, ...length }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
}
