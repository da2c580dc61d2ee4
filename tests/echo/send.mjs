// A sender of Standard Webhooks as one would write it in Node: send.mjs URL SECRET ID BODY
import { createHmac } from "node:crypto";

const [url, secret, id, body] = process.argv.slice(2);
const timestamp = Math.floor(Date.now() / 1000).toString();
const key = Buffer.from(secret.slice("whsec_".length), "base64");
const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");

const answer = await fetch(url, {
  method: "POST",
  headers: {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${signature}`,
  },
  body,
});
console.log(answer.status, await answer.text());
