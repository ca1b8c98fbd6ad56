import type { Exchange } from './door.ts';

/** What every answer of every door carries: nothing is stored, sniffed, framed or passed on. */
const fixedHeaders = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
};

/** Over TLS browsers are told to stay with it. */
const strictTransport = { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' };

/** Sends a text, or nothing, with the headers that were prepared, the request's id, and the given ones. */
export type Answer = (
  exchange: Exchange,
  status: number,
  text: string | null,
  headers?: Readonly<Record<string, string>>,
) => Response;

/**
 * Prepares answers that differ in status, text and few headers: copying headers made before costs half of making them anew.
 * @param own what these answers carry beside the fixed security headers
 * @param idHeader the name under which the request's id is told
 */
export function prepareAnswers(own: Readonly<Record<string, string>>, idHeader = 'X-Request-Id'): Answer {
  const plain = new Headers({ ...own, ...fixedHeaders });
  const strict = new Headers({ ...own, ...fixedHeaders, ...strictTransport });
  return (exchange, status, text, headers) => {
    const response = new Response(text, { status, headers: exchange.caller.secure ? strict : plain });
    response.headers.set(idHeader, exchange.requestId);
    for (const name in headers) response.headers.set(name, headers[name] as string);
    return response;
  };
}
