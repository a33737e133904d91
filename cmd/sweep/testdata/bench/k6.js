import http from 'k6/http';
import { sleep } from 'k6';
import exec from 'k6/execution';

const [users, ramp, hold, wait] = ['USERS', 'RAMP', 'HOLD', 'WAIT'].map((name) => Number(__ENV[name]));

const flat = {
  executor: 'constant-vus', vus: users, duration: `${hold}s`, gracefulStop: '0s',
};
const ramped = {
  executor: 'ramping-vus', startVUs: 0, gracefulRampDown: '0s', gracefulStop: '0s',
  stages: [{ duration: `${ramp}s`, target: users }, { duration: `${hold}s`, target: users }],
};
// k6 tells the hold apart in its summary only where a threshold asks for it.
const ofTheHold = {
  'http_reqs{phase:hold}': ['count>=0'],
  'http_req_duration{phase:hold}': ['p(99)>=0'],
};

export const options = {
  scenarios: { load: ramp > 0 ? ramped : flat },
  thresholds: ramp > 0 ? ofTheHold : {},
  discardResponseBodies: true,
  summaryTrendStats: ['p(99)'],
};

const headers = { 'Content-Type': 'application/json' };
const ramping = { headers };
const holding = { headers, tags: { phase: 'hold' } };

export default function () {
  const held = ramp > 0 && Date.now() - exec.scenario.startTime >= 1000 * ramp;
  http.post(__ENV.URL, __ENV.BODY, held ? holding : ramping);
  if (wait > 0) sleep(wait);
}

export function handleSummary(data) {
  return { stdout: JSON.stringify(data.metrics) };
}
