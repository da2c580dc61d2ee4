// node poll.js URL ID SECONDS: asks for a task's stored result until it is there and prints it.
'use strict';

const { setTimeout: pause } = require('node:timers/promises');
const Redis = require('ioredis');

const [url, id, seconds] = process.argv.slice(2);

async function poll(redis) {
  const ends = Date.now() + 1000 * Number(seconds);
  while (Date.now() < ends) {
    const text = await redis.get(`asynq:result:${id}`);
    if (text !== null) {
      return JSON.parse(text);
    }
    await pause(50);
  }
  throw new Error(`no result of ${id} within ${seconds} s`);
}

const redis = new Redis(url);
poll(redis)
  .then((result) => console.log(JSON.stringify(result)))
  .finally(() => redis.quit());
