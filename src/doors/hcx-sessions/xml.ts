const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/**
 * The error document of `/hybridity/` (section 4.3 of the contract): one `entry` per member, each with exactly two `string` children,
 * which is how a client of it decodes failures.
 */
export function writeErrorMap(members: Readonly<Record<string, string | number | boolean>>): string {
  const entries = Object.entries(members).map(([key, value]) => {
    const name = key === 'error' ? 'message' : key;
    return `<entry><string>${name}</string><string>${escapeText(String(value))}</string></entry>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?><map>${entries.join('')}</map>`;
}

function escapeText(text: string): string {
  return text.replace(/[&<>]/g, (character) => escapes[character] ?? character);
}

/** Whether an error is told as XML: without any `Accept`, or when it names XML and nothing that takes JSON. */
export function prefersXml(accept: string | null): boolean {
  const types = (accept ?? '').split(',').map((part) => part.split(';')[0]?.trim().toLowerCase() ?? '');
  if (types.every((type) => type === '')) return true;
  const takesJson = types.some((type) => ['application/json', 'application/*', '*/*'].includes(type));
  return !takesJson && types.some((type) => type === 'application/xml' || type === 'text/xml');
}
