/** A process of its own that signs in again and again: `flood.ts <url> <clients> <seconds>`; prints what it was told, as JSON. */
import { doorsOf } from '../support/http.ts';
import { testPassword } from '../support/users.ts';
import { quantile, type Sample, slowest, timed } from './probe.ts';

const [url = '', clients = '1', seconds = '1'] = process.argv.slice(2);
const doors = doorsOf(url);
const samples: Sample[] = [];

/** Less than the server asks for, so that it is a flood; with none at all it would measure how fast we can ask. */
const pauseMs = 250;

/** Right, wrong and unknown names in turn. */
async function flood(index: number, untilMs: number): Promise<void> {
  const tries: readonly [string, string][] = [
    [`player-${index % 6}`, testPassword],
    ['victim', 'not the password'],
    [`nobody-${index}`, 'not the password'],
  ];
  for (let count = index; performance.now() < untilMs; count += 1) {
    const [login, password] = tries[count % 3] ?? ['', ''];
    const sample = await timed(async () => (await doors.restLogin(login, password)).status);
    samples.push(sample);
    if (sample.status === 503) await Bun.sleep(pauseMs);
  }
}

const untilMs = performance.now() + Number(seconds) * 1_000;
await Promise.all(Array.from({ length: Number(clients) }, (_, index) => flood(index, untilMs)));
const shed = samples.filter(({ status }) => status === 503);
const accepted = samples.filter(({ status }) => status === 200);
const report: FloodReport = {
  tries: samples.length,
  accepted: accepted.length,
  acceptedP99Ms: quantile(accepted, 0.99),
  shed: shed.length,
  shedMedianMs: quantile(shed, 0.5),
  slowestMs: slowest(samples),
  strange: samples.filter(({ status }) => ![200, 401, 429, 503].includes(status)).length,
};
process.stdout.write(JSON.stringify(report));

export type FloodReport = {
  readonly tries: number;
  readonly accepted: number;
  readonly acceptedP99Ms: number;
  readonly shed: number;
  readonly shedMedianMs: number;
  readonly slowestMs: number;
  /** Answers that are none of success, refusal, throttle and "try later". */
  readonly strange: number;
};
