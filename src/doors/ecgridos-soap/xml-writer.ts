/** Text that is XML already. Only `element` makes it, so what is not escaped cannot be written. */
export type Xml = { readonly xml: string };

const declaration = '<?xml version="1.0" encoding="utf-8"?>\n';

/**
 * One element. Strings among the content are text and are escaped; there is no way around it.
 * @param name tag name, with its prefix; a constant of ours
 * @param attributes names are constants of ours, values are escaped
 */
export function element(
  name: string,
  content: readonly (Xml | string)[],
  attributes: Readonly<Record<string, string>> = {},
): Xml {
  const inside = content.map((piece) => (typeof piece === 'string' ? escapeText(piece) : piece.xml)).join('');
  const declared = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(value)}"`);
  const start = `${name}${declared.join('')}`;
  return { xml: content.length === 0 ? `<${start}/>` : `<${start}>${inside}</${name}>` };
}

/** A whole document: declaration, newline, the root on one line. */
export function writeDocument(root: Xml): string {
  return declaration + root.xml;
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  // Parsers fold these into spaces or line feeds unless they come as references.
  '\r': '&#13;',
  '\n': '&#10;',
  '\t': '&#9;',
};

/** Also replaces what XML 1.0 cannot hold at all: control characters, halves of surrogate pairs, U+FFFE and U+FFFF. */
function escapeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  const legal = text.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');
  return legal.replace(/[&<>"\r\n\t]/g, (character) => escapes[character] ?? character);
}
