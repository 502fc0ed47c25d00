#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int less(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

__attribute__((noinline)) static int sort_words(int many) {
	char **words = malloc(many * sizeof *words);
	for (int at = 0; at < many; at++) {
		char text[32];
		snprintf(text, sizeof text, "item-%d", at * 7919 % 1000);
		words[at] = strdup(text);
	}
	qsort(words, many, sizeof *words, less);
	int sum = words[many / 2][5];
	for (int at = 0; at < many; at++) free(words[at]);
	free(words);
	return sum;
}

__attribute__((noinline)) static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static void *turn(void *unused) {
	volatile int sum = 0;
	for (;;) sum += sort_words(300) + fib(15);
	return unused;
}

int main(void) {
	pthread_t second;
	if (pthread_create(&second, NULL, turn, NULL)) return 1;
	turn(NULL);
}
