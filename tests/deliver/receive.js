// Receives webhooks and verifies them with node's own crypto: node receive.js SECRET
// Prints its port, then a line of JSON for each webhook. Ends when its stdin does.
const crypto = require('node:crypto')
const http = require('node:http')

const key = Buffer.from(process.argv[2].replace(/^whsec_/, ''), 'base64')

function verdict(headers, body) {
  const signed = Buffer.concat([
    Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body,
  ])
  const expected = crypto.createHmac('sha256', key).update(signed).digest()
  const given = (headers['webhook-signature'] || '').split(' ').map(each => each.split(','))
  const fits = given.some(([version, text]) => {
    const found = Buffer.from(text || '', 'base64')
    return version === 'v1' && found.length === expected.length &&
      crypto.timingSafeEqual(found, expected)
  })
  const age = Math.abs(Date.now() / 1000 - Number(headers['webhook-timestamp']))
  return fits && age < 300
}

const server = http.createServer((request, response) => {
  const parts = []
  request.on('data', part => parts.push(part))
  request.on('end', () => {
    const body = Buffer.concat(parts)
    const isValid = verdict(request.headers, body)
    response.writeHead(isValid ? 204 : 401).end()
    console.log(JSON.stringify({ isValid, body: body.toString('utf8') }))
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume().on('end', () => process.exit())
