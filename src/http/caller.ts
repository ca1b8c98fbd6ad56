/** Who is calling, as far as the connection can tell. */
export type Caller = {
  /** Client address behind the declared proxies, e.g. `203.0.113.7` or `::1`. */
  readonly address: string;
  /** User-Agent, cut at 256 characters, without control characters. */
  readonly userAgent: string;
  /** True when the client reached us, or the declared proxy in front of us, over TLS. */
  readonly secure: boolean;
};
