/** What a browser on another origin may do: exactly the listed origins, never `*`, never a pattern, never a reflection. */
export type CorsRule = {
  readonly origins: readonly string[];
  readonly allowMethods: string;
  readonly allowHeaders: string;
};

/** Headers for any answer to a listed origin, refusals included; none for others. */
export function corsHeaders(rule: CorsRule, request: Request): Record<string, string> {
  const origin = request.headers.get('origin');
  if (origin === null || !rule.origins.includes(origin)) return {};
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Credentials': 'true',
    'Access-Control-Expose-Headers': 'retry-after, x-request-id',
  };
}

/** The further headers of a preflight's answer to a listed origin; none for others. */
export function preflightHeaders(rule: CorsRule, request: Request): Record<string, string> {
  const allowed = corsHeaders(rule, request);
  if (Object.keys(allowed).length === 0) return {};
  return {
    ...allowed,
    'Access-Control-Allow-Methods': rule.allowMethods,
    'Access-Control-Allow-Headers': rule.allowHeaders,
    'Access-Control-Max-Age': '600',
  };
}
