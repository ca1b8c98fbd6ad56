/** One figure of a Prometheus text: its labels in their order, and its value. */
export type Figures = ReadonlyMap<string, number>;

/**
 * Reads the Prometheus text format 0.0.4 strictly, independently of who wrote it: HELP, TYPE, then the family's samples in one block.
 * @returns value by series, e.g. `cardea_logins_total{outcome="accepted"}`
 * @throws Error for a line that a scraper would refuse, a series that comes twice, or a counter below 0
 */
export function readExposition(text: string): Figures {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const figures = new Map<string, number>();
  const families = new Map<string, string>();
  let family = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const [, name = '', type = ''] = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge)$/.exec(line) ?? [];
    if (name !== '') {
      if (families.has(name)) throw new Error(`${name} has two types`);
      families.set(name, type);
      family = name;
    } else if (!/^# HELP [a-zA-Z_:][\w:]* \S.*$/.test(line)) {
      const [series, value] = readSample(line, family);
      if (figures.has(series)) throw new Error(`${series} comes twice`);
      if (families.get(family) === 'counter' && value < 0) throw new Error(`${series} counts below 0`);
      figures.set(series, value);
    }
  }
  return figures;
}

function readSample(line: string, family: string): [string, number] {
  const pattern =
    /^([a-zA-Z_:][\w:]*)(\{[a-zA-Z_]\w*="[^"\\\n]*"(?:,[a-zA-Z_]\w*="[^"\\\n]*")*\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
  const [, name, labels = '', value] = pattern.exec(line) ?? [];
  if (name === undefined || name !== family) throw new Error(`${line} is no sample of ${family}`);
  return [name + labels, Number(value)];
}
