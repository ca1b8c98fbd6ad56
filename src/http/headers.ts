import type { Exchange } from './door.ts';

/** What every answer of every door carries: nothing is stored, sniffed, framed or passed on. */
const fixedHeaders = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
};

const strictTransport = { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' };

/** The fixed security headers; over TLS browsers are told to stay with it. */
export function securityHeaders(exchange: Exchange): Record<string, string> {
  return exchange.caller.secure ? { ...fixedHeaders, ...strictTransport } : { ...fixedHeaders };
}

/** Starts the headers of an answer that tells the request's id under our own name. */
export function answerHeaders(exchange: Exchange): Record<string, string> {
  return { ...securityHeaders(exchange), 'X-Request-Id': exchange.requestId };
}

/** A JSON answer with the fixed headers and the given ones. */
export function jsonAnswer(
  exchange: Exchange,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const all = { 'Content-Type': 'application/json; charset=utf-8', ...answerHeaders(exchange), ...headers };
  return new Response(JSON.stringify(body), { status, headers: all });
}
