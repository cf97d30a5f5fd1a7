--[[
  Every write of a dispatcher carries the fence of its hold: a take-over has raised it, and what is stale is refused.
  Needs run.lua. When the holder last wrote, or said that it lives, is kept: whoever takes over tells for how long nobody
  drove the run.
]]
-- Nil where the writer may write, else why not: 'stale', or 'gone' where the record is no more.
local function refusedBy(id, fence)
  local standing, ended = unpack(redis.call('HMGET', runKey(id), 'fence', 'end'))
  if standing == fence then
    if not ended then redis.call('HSET', runKey(id), 'aliveAt', timeMs()) end
    return nil
  end
  return standing and 'stale' or 'gone'
end
