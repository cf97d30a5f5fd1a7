# One image for every process: a worker, a dispatcher, and the commands of whoever is on call (`callyard stats`).

FROM node:26.10.0-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
COPY packages/shared/package.json packages/shared/
COPY packages/worker/package.json packages/worker/
COPY packages/dispatcher/package.json packages/dispatcher/
COPY packages/cli/package.json packages/cli/
# No dependency needs its install script: native parts are optional, and JavaScript does the same.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:26.10.0-slim
ENV NODE_ENV=production \
    CALLYARD_METRICS_PORT=9464
WORKDIR /app
COPY --from=packages /app ./
COPY packages packages
COPY examples examples
RUN ln -s /app/packages/cli/src/main.ts /usr/local/bin/callyard
USER node
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.CALLYARD_METRICS_PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["callyard"]
CMD ["--help"]
