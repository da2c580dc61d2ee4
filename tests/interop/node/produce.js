// node produce.js URL QUEUE PAYLOAD MAX_RETRY: puts one task into a queue and prints its id.
'use strict';

const { randomUUID } = require('node:crypto');
const Redis = require('ioredis');

const [url, queue, payload, maxRetry] = process.argv.slice(2);

async function produce(redis) {
  const id = randomUUID();
  const task = {
    type: 'task',
    payload: JSON.stringify(JSON.parse(payload)),
    retry: '0',
    max_retry: maxRetry,
    queue,
  };
  await redis.hset(`asynq:t:${id}`, task);
  await redis.lpush(`asynq:${queue}:pending`, id);
  return id;
}

const redis = new Redis(url);
produce(redis)
  .then((id) => console.log(id))
  .finally(() => redis.quit());
