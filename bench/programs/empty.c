// SPDX-License-Identifier: GPL-2.0
/*
 * Does nothing: what it takes to start and end a program.
 */

int main(void)
{
	return 0;
}
