import { type Core, nowSeconds } from './core.ts';
import { newTokenId, signToken, type TokenClaims } from './tokens.ts';

export type IssuedToken = { readonly token: string; readonly claims: TokenClaims };

/** A new token of a session, signed with the current key; it never outlives the session's absolute end. */
export function issueToken(
  core: Core,
  sid: string,
  userId: number,
  tokenSeconds: number | null,
  absoluteEnd: number,
): IssuedToken {
  const iat = nowSeconds(core);
  const exp = tokenSeconds === null ? absoluteEnd : Math.min(iat + tokenSeconds, absoluteEnd);
  const claims = { ...fixedClaims(core, sid, userId), jti: newTokenId(), iat, exp };
  return { token: signToken(core.keys.current, claims), claims };
}

/** The claims that all tokens of a session share. */
export function fixedClaims(core: Core, sid: string, userId: number): Pick<TokenClaims, 'iss' | 'aud' | 'sub' | 'sid'> {
  return { iss: core.policy.tokenIssuer, aud: core.policy.tokenAudience, sub: String(userId), sid };
}
